// The Rust client `rust_socketio`: the program named by SOCKEYE_RUST_CLIENT, which `cargo xtask conformance` builds.

import { run } from '../harness/program.mjs';

export default function rust(tests) {
  tests.add('rust_socketio: events, binary data, acknowledgements, rooms, namespaces, auth, order', async ({ server }) => {
    await run(process.env.SOCKEYE_RUST_CLIENT, [server.url]);
  }, { server: { pingInterval: 1_000, pingTimeout: 1_000 }, deadline: 180_000 });
}
