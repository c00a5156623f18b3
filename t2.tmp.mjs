import {openSqliteStore} from './packages/adapters/dist/index.js';
import D from 'better-sqlite3';
import fs from 'node:fs';
const auto=process.argv[2], cache=process.argv[3];
const op=D.prototype.pragma; D.prototype.pragma=function(x,...a){const r=op.call(this,x,...a); if(x==='synchronous = FULL'){op.call(this,'wal_autocheckpoint='+auto); if(cache)op.call(this,'cache_size=-'+cache*1024)} return r};
for(const size of [10000,1000000]){ const p=`/tmp/work.db`; fs.copyFileSync(`/tmp/big${size}.db`,p); fs.rmSync(p+'-wal',{force:true});
 const s=await openSqliteStore({path:p}); const best={}; 
 for(let r=0;r<6;r++){ const t={}; let last=performance.now(); const lap=n=>{const x=performance.now(); t[n]=x-last; last=x};
  const numbers=Array.from({length:1000},(_,i)=>1+((i*7919+r*104729)%size));
  await s.transaction(async tx=>{ const f=await tx.entriesByNumber('collected',numbers); lap('get'); const seq=size+1+r*1000; await tx.putEntries('collected',f.map((o,i)=>({...o,seq:seq+i}))); lap('put'); const lr=await tx.listRows('all',numbers); lap('lget'); await tx.putListRows('all',lr.map((o,i)=>({...o,seq:seq+i}))); lap('lput'); await tx.listSince('all',seq-1,'x',1000); lap('since'); await tx.purgeList('all',seq); await tx.purgeCollected(); lap('purge') }); lap('commit');
  await s.transaction(async tx=>{ const f=await tx.entriesByPeerNumber('replica',null,numbers); lap('rget'); await tx.putEntries('replica',f.map((o,i)=>({...o,bytes:Buffer.alloc(400,r)}))); lap('rput'); }); lap('rcommit');
  for(const k in t) (best[k]??=[]).push(t[k]); }
 console.log(size, Object.entries(best).map(([k,v])=>k+' '+v.sort((a,b)=>a-b)[2].toFixed(1)).join('  '), 'sum', Object.values(best).reduce((a,v)=>a+v[2],0).toFixed(0));
 await s.close();
}
