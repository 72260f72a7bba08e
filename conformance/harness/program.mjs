// Clients that are programs of their own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Runs a program to its end; what it said is the error if it fails. */
export async function run(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (data) => { said += data; });
  child.stderr.on('data', (data) => { said += data; });
  const [code] = await once(child, 'close');
  if (code !== 0) {
    throw new Error(`${program} ended with ${code}:\n${said}`);
  }
}
