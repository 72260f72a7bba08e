// Says what is measured, and whether the native helpers of `ws` are native here or fell back to JavaScript.
const { dirname } = require("node:path");

const version = (name) => require(`${name}/package.json`).version;

console.log(`socket.io ${version("socket.io")}`);
console.log(`ws ${version("ws")}`);
for (const name of ["bufferutil", "utf-8-validate"]) {
  try {
    require("node-gyp-build").resolve(dirname(require.resolve(`${name}/package.json`)));
    console.log(`${name} ${version(name)}`);
  } catch {
    console.log(`${name} absent`);
  }
}
console.log(`Node ${process.versions.node}`);
