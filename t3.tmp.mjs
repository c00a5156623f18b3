import {packList,unpack} from './packages/adapters/dist/stores/sqlite/columns.js';
import {createHash} from 'node:crypto';
const h=s=>createHash('sha256').update(String(s)).digest();
const rows=[];for(let i=0;i<2000;i++){const k=h(i);rows.push({number:0,id:k.subarray(0,16),owner:'o'+i%50,seq:i,deleted:false,hash:k.subarray(16),bytes:Buffer.alloc(400,k),peerNumber:i,introduced:0,changed:null,note:null})}
let a=0,b=0,c=0;
for(let r=0;r<60;r++){ if(r==10)a=b=c=0; let t=performance.now(); const p=packList(['replica',rows]); let u=performance.now(); a+=u-t; const q=structuredClone(p,{transfer:[p.octets]}); t=performance.now(); b+=t-u; unpack(q); c+=performance.now()-t;}
console.log('pack',a/50,'clone',b/50,'unpack',c/50);
