// The TypeScript that the example `typed_events` makes of its events: it is the file beside this one, a client is checked
// against it and talks to the example, and every mistake in wrong.ts is found.
//
//     node types/check.mjs <program>

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = import.meta.dirname;
const program = process.argv[2];

await generated();
await compiled();
await ran();
console.log('types: the events are up to date, a client compiles and runs, mistakes do not compile');

/** The file in the repository is what the program makes. */
async function generated() {
  const { stdout } = await run(program, ['types']);
  const kept = await readFile(`${here}/events.ts`, 'utf8');
  const again = 'cargo run -p sockeye-examples --bin typed_events types > conformance/types/events.ts';
  assert.equal(kept, stdout, `events.ts is out of date: ${again}`);
}

/** The errors of the compiler are those that wrong.ts tells, by line and number; no other file has any. */
async function compiled() {
  await rm(`${here}/out`, { recursive: true, force: true });
  const tsc = createRequire(import.meta.url).resolve('typescript/package.json').replace('package.json', 'bin/tsc');
  const failed = await run(process.execPath, [tsc, '-p', here, '--pretty', 'false']).then(
    () => assert.fail('no mistake was found'),
    (error) => error,
  );
  const found = [...failed.stdout.matchAll(/^(.+)\((\d+),\d+\): error (TS\d+)/gm)].map(([, file, line, code]) => {
    return `${file.split(/[\\/]/).at(-1)}:${line} ${code}`;
  });
  const lines = (await readFile(`${here}/wrong.ts`, 'utf8')).split('\n');
  const told = lines.flatMap((text, at) => {
    const code = text.match(/\/\/ (TS\d+): /)?.[1];
    return code ? [`wrong.ts:${at + 1} ${code}`] : [];
  });
  assert.ok(told.length > 10, `only ${told.length} mistakes`);
  assert.deepEqual(found, told, failed.stdout);
}

/** The client talks to the program. */
async function ran() {
  const server = spawn(program, ['0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const line = await Promise.race([firstLine(server.stdout), failure(server)]);
    const url = line.match(/^listening on (http:.*)$/)[1];
    const { stdout } = await run(process.execPath, [`${here}/out/client.js`, url], { timeout: 30_000 });
    assert.equal(stdout, 'ok\n');
  } finally {
    server.kill();
  }
}

async function firstLine(output) {
  for await (const line of createInterface({ input: output })) return line;
  throw new Error('the program said nothing');
}

function failure(program) {
  return new Promise((_, reject) => program.on('error', reject));
}
