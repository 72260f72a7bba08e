// The Python client. Needs an interpreter that has python/requirements.txt: PYTHON, or `python3`.

import { fileURLToPath } from 'node:url';
import { run } from '../harness/program.mjs';

const SCRIPT = fileURLToPath(new URL('../python/test.py', import.meta.url));

export default function python(tests) {
  tests.add('python-socketio: values, acknowledgements, rooms, namespaces, order', async ({ server }) => {
    await run(process.env.PYTHON ?? 'python3', [SCRIPT, server.url]);
  }, { server: { pingInterval: 1_000, pingTimeout: 1_000 }, deadline: 120_000 });
}
