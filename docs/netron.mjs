// Screenshots of the model that a Netron server shows: netron-model.png with a MaryConv selected, netron-body.png with its function body.
//
//   node netron.mjs URL FOLDER
//
// Netron's page forbids eval, so that everything goes by locators and the mouse.
import { join } from 'node:path';

import { launch } from '../tests/browser/chromium.mjs';

const [url, folder] = process.argv.slice(2);
const browser = await launch();
try {
  const context = await browser.newContext({ viewport: { width: 1100, height: 960 } });
  await context.addCookies([{ name: 'consent', value: 'yes', url }]); // else it first asks whether it may count visits
  const page = await context.newPage();
  await page.route((address) => !address.href.startsWith(url), (route) => route.abort()); // and it counts nothing
  const opened = async () => {
    for (let attempt = 0; ; attempt++) { // the server may still be starting
      try {
        return await page.goto(url);
      } catch (error) {
        if (attempt === 50) throw error;
        await page.waitForTimeout(200);
      }
    }
  };
  await opened();
  const layer = page.locator('.node-item-type', { hasText: 'MaryConv' }).nth(1);
  await layer.waitFor();
  await page.waitForTimeout(500); // what it animates comes to rest
  await layer.click();
  await page.locator('#sidebar-content', { hasText: 'ai.mary' }).waitFor();
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(folder, 'netron-model.png') });

  await page.setViewportSize({ width: 1560, height: 840 });
  await page.locator('#sidebar [title="Show Definition"]').click();
  await page.locator('#sidebar-title', { hasText: 'Function' }).waitFor();
  await page.locator('#sidebar-content', { hasText: 'W[r, k]' }).waitFor();
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(folder, 'netron-body.png') });
} finally {
  await browser.close();
}
