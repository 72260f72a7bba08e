// node run.mjs [--reference] [--proxies] [filter]
//
// Tests the program named by SOCKEYE_CONFORMANCE_SERVER, or with --reference the official server; with --proxies behind
// nginx, HAProxy and Caddy.

import { readdir } from 'node:fs/promises';
import { Subject } from './harness/server.mjs';
import { Tests, runAll } from './harness/suite.mjs';

const words = process.argv.slice(2);
const reference = words.includes('--reference');
const filter = words.find((word) => !word.startsWith('--')) ?? '';
const program = process.env.SOCKEYE_CONFORMANCE_SERVER;
if (!reference && !program) {
  console.error('Set SOCKEYE_CONFORMANCE_SERVER to the server program (cargo xtask conformance does), or pass --reference.');
  process.exit(2);
}

const tests = new Tests();
const folder = new URL(words.includes('--proxies') ? 'proxies/' : 'suites/', import.meta.url);
for (const file of (await readdir(folder)).filter((name) => name.endsWith('.mjs')).sort()) {
  tests.group = file.slice(0, -'.mjs'.length);
  (await import(new URL(file, folder))).default(tests);
}
const failures = await runAll(tests, new Subject({ reference, program }), filter);
process.exit(failures === 0 ? 0 : 1);
