import {openSqliteStore} from './packages/adapters/dist/index.js';
import {createHash} from 'node:crypto'; import fs from 'node:fs';
const h=s=>createHash('sha256').update(String(s)).digest();
for(const size of [10000,1000000]){ const p=`/tmp/big${size}.db`; if(fs.existsSync(p)) continue;
 const s=await openSqliteStore({path:p});
 for(let f=1;f<=size;f+=50000){ await s.transaction(async tx=>{ for(let b=f;b<Math.min(f+50000,size+1);b+=2000){ const rows=[],l=[]; for(let i=b;i<Math.min(b+2000,size+1);i++){const k=h(i); rows.push({number:0,id:k.subarray(0,16),owner:'o'+i%50,seq:i,deleted:false,hash:k.subarray(16),bytes:Buffer.alloc(400,k),peerNumber:i,introduced:0,changed:null,note:null}); l.push({number:i,owner:'o'+i%50,seq:i,left:false,first:1,entered:1,introduced:0,hash:k.subarray(16)})} await tx.putEntries('collected',rows); await tx.putListRows('all',l);
   await tx.putEntries('replica',rows.map(r=>({...r,seq:0})));} }) }
 await s.close(); console.log(size,fs.statSync(p).size>>20);
}
