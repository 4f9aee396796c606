// The npm packages that scripts/setup.sh --tests installs in build/node, outside of the source tree, where a plain import does not look.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The folder that holds node_modules: $MARY_NODE, else build/node. */
export const folder = resolve(process.env.MARY_NODE ?? join(root, 'build', 'node'));

const required = createRequire(join(folder, 'package.json'));

/** Whether all of these packages are installed. */
export function installed(...names) {
  return names.every((name) => existsSync(join(folder, 'node_modules', name, 'package.json')));
}

/** The package itself (CommonJS), or an Error that says how to get it. */
export function load(name) {
  if (!installed(name)) throw new Error(`${name} is not in ${folder}: scripts/setup.sh --tests installs it`);
  return required(name);
}

export function version(name) {
  return required(join(folder, 'node_modules', name, 'package.json')).version;
}
