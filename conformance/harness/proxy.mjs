// Proxies before the server under test, with the configurations that users read.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './time.mjs';

const PAGE = new URL('../../docs/operations.md', import.meta.url);
// Debian keeps nginx and HAProxy where only root looks.
const PATH = `${process.env.PATH}:/usr/sbin`;

/**
 * How each is run in a folder of its own: `language` marks its configuration on the page, `listens` is what stands there
 * before the port, `file` makes a file of it that touches nothing of the machine's.
 */
export const proxies = {
  nginx: {
    language: 'nginx',
    listens: 'listen ',
    file: (configuration) => `
      daemon off; master_process off; pid pid; error_log stderr warn; events {}
      http {
        access_log requests;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
        ${configuration}
      }`,
    args: (folder, file) => ['-p', folder, '-c', file, '-e', 'stderr'],
  },
  haproxy: {
    language: 'haproxy',
    listens: 'bind :',
    file: (configuration) => configuration,
    args: (_folder, file) => ['-db', '-f', file],
  },
  caddy: {
    language: 'caddyfile',
    listens: ':',
    file: (configuration) => `{\n    admin off\n}\n${configuration}`,
    args: (_folder, file) => ['run', '--adapter', 'caddyfile', '--config', file],
  },
};

/** Puts a proxy before the server of a test; `change` makes another configuration of that on the page. */
export async function putBefore(context, name, change = (configuration) => configuration) {
  const { language, listens, file, args } = proxies[name];
  const folder = await mkdtemp(join(tmpdir(), `sockeye-${name}-`));
  context.atEnd(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const configuration = change(await onPage(language));
  const ports = [['127.0.0.1:3000', `127.0.0.1:${context.server.port}`], [`${listens}80`, `${listens}${port}`]];
  const path = join(folder, 'configuration');
  await writeFile(path, file(ports.reduce((text, [from, to]) => replaced(text, from, to), configuration)));

  const environment = { ...process.env, PATH, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder };
  const child = spawn(name, args(folder, path), { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  // The last word of a client goes through it.
  context.atEnd(() => context.forgotten().finally(() => end(child)));
  let said = '';
  child.stdout.on('data', (data) => { said += data; });
  child.stderr.on('data', (data) => { said += data; });
  child.on('error', (error) => { said += error.message; });
  await until(() => ended(child) || answers(port), () => `${name} to listen; it said:\n${said}`);
  assert(!ended(child), `${name} ended at once:\n${said}`);
  context.url = `http://127.0.0.1:${port}`;
  return { requests: async () => (await readFile(join(folder, 'requests'), 'utf8')).trim().split('\n') };
}

/** `text` with the only `from` in it replaced. */
export function replaced(text, from, to) {
  assert.equal(text.split(from).length, 2, `docs/operations.md should have "${from}" once in:\n${text}`);
  return text.replace(from, to);
}

async function onPage(language) {
  const blocks = (await readFile(PAGE, 'utf8')).split(`\`\`\`${language}\n`);
  assert.equal(blocks.length, 2, `docs/operations.md should have one configuration in ${language}`);
  return blocks[1].slice(0, blocks[1].indexOf('```'));
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

function ended(child) {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function end(child) {
  if (!ended(child)) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}
