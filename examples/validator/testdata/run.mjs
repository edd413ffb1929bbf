// Runs the WebAssembly as the page does: node run.mjs <wasm_exec.js> <validator.wasm>, with a JSON array of texts on standard
// input. Writes a JSON array of reports.
import fs from 'node:fs';
import vm from 'node:vm';

const [loader, wasm] = process.argv.slice(2);
vm.runInThisContext(fs.readFileSync(loader, 'utf8'));
const go = new Go();
const { instance } = await WebAssembly.instantiate(fs.readFileSync(wasm), go.importObject);
go.run(instance);
const texts = JSON.parse(fs.readFileSync(0, 'utf8'));
console.log(JSON.stringify(texts.map(text => JSON.parse(validateCatalogInfo(text)))));
process.exit(0);
