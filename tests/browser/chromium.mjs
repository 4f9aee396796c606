// Headless Chromium: the system's, driven by Playwright.
import { existsSync } from 'node:fs';

import { installed, load } from '../node/packages.mjs';

const candidates = [process.env.MARY_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = candidates.find((path) => path !== undefined && existsSync(path));

/** Says what is missing to run tests in a browser, or null when all is there. */
export function missing() {
  if (!installed('playwright-core', 'onnxruntime-web')) return 'playwright-core and onnxruntime-web are not installed (scripts/setup.sh --tests)';
  if (executablePath === undefined) return 'there is no Chromium (scripts/setup.sh --ci installs it; MARY_CHROMIUM names another)';
  return null;
}

/** Playwright's Browser; close() it. */
export function launch() {
  // Without a sandbox of its own: containers and root have none to offer, and the pages are ours.
  return load('playwright-core').chromium.launch({ executablePath, args: ['--no-sandbox'] });
}
