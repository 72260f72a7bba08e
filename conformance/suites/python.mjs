// The Python client. Needs an interpreter that has python/requirements.txt: PYTHON, or `python3`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../python/test.py', import.meta.url));

export default function python(tests) {
  tests.add('python-socketio: values, acknowledgements, rooms, namespaces, order', async ({ server }) => {
    const child = spawn(process.env.PYTHON ?? 'python3', [SCRIPT, server.url], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (data) => { said += data; });
    child.stderr.on('data', (data) => { said += data; });
    const [code] = await once(child, 'close');
    if (code !== 0) {
      throw new Error(`the Python tests ended with ${code}:\n${said}`);
    }
  }, { server: { pingInterval: 1_000, pingTimeout: 1_000 }, deadline: 120_000 });
}
