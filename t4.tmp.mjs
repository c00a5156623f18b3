import {openSqliteStore} from './packages/adapters/dist/index.js';
import {createHash} from 'node:crypto'; import fs from 'node:fs';
const h=s=>createHash('sha256').update(String(s)).digest();
const rows=[];for(let i=1;i<=100000;i++){const k=h(i);rows.push({number:0,id:k.subarray(0,16),owner:'o'+i%50,seq:0,deleted:false,hash:k.subarray(16),bytes:Buffer.alloc(400,k),peerNumber:i,introduced:0,changed:null,note:null})}
for(let r=0;r<3;r++) for(const large of [false,true]){ const p=`/tmp/l${r}${large}.db`; fs.rmSync(p,{force:true}); const s=await openSqliteStore({path:p}); await s.transaction(tx=>tx.putDocument('a',1),{large});
 let t=performance.now(), u; const c=process.cpuUsage(); await s.transaction(async tx=>{for(let i=0;i<100000;i+=2000) await tx.putEntries('replica',rows.slice(i,i+2000)); u=performance.now()},{large}); const v=performance.now(); const d=process.cpuUsage(c); console.log(large,'put',(u-t).toFixed(),'commit',(v-u).toFixed(),'cpu',(d.user/1000).toFixed(),(d.system/1000).toFixed()); await s.close(); fs.rmSync(p)}
