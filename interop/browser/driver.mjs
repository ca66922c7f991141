// Chromium under the command of the tests, one JSON object a line.
//   argv    PATH OF CHROMIUM, URL OF THE PAGE, SPKI HASH of the certificate to accept
//   stdin   {"id":1,"page":1,"cmd":"open"}   {"id":2,"page":1,"cmd":"call","args":{…}}   {"id":3,"page":1,"cmd":"close"}
//   stdout  {"ready":true} once, then {"id":1,"result":…} or {"id":1,"error":"…"}, and events {"page":1,"event":"…",…}
// The end of stdin ends it. All commands but open and close are those of window.peer in page.js.
import { chromium } from 'playwright-core'
import readline from 'node:readline'

const [executablePath, pageURL, spki] = process.argv.slice(2)
const say = (o) => process.stdout.write(JSON.stringify(o) + '\n')

const browser = await chromium.launch({
  executablePath,
  timeout: 120_000,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run', '--mute-audio', '--no-pings',
    // media without devices, questions or a visible page
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
    // loopback is the whole network
    '--allow-loopback-in-peer-connection', `--ignore-certificate-errors-spki-list=${spki}`,
    '--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks,HttpsUpgrades,OptimizationHints,MediaRouter,Translate,AutofillServerCommunication',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-default-apps',
    '--disable-domain-reliability', '--disable-client-side-phishing-detection', '--metrics-recording-only',
    '--proxy-server=direct://', '--proxy-bypass-list=*', '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1',
  ],
})
const pages = new Map()

async function open(id) {
  const context = await browser.newContext({ permissions: ['microphone', 'camera'] })
  const page = await context.newPage()
  pages.set(id, page)
  await page.exposeFunction('report', (line) => say({ page: id, ...JSON.parse(line) }))
  page.on('console', (m) => say({ page: id, event: 'console', body: m.text() }))
  page.on('pageerror', (e) => say({ page: id, event: 'pageerror', body: String(e?.stack || e) }))
  await page.goto(pageURL)
}

async function run({ page: id, cmd, args }) {
  if (cmd === 'open') return open(id)
  const page = pages.get(id)
  if (!page) throw new Error(`no page ${id}`)
  if (cmd === 'close') {
    pages.delete(id)
    return page.context().close()
  }
  return page.evaluate(([cmd, args]) => window.peer[cmd](args), [cmd, args || {}])
}

readline.createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const command = JSON.parse(line)
    try {
      say({ id: command.id, result: (await run(command)) ?? null })
    } catch (e) {
      say({ id: command.id, error: String(e?.message || e) })
    }
  })
  .on('close', async () => {
    await browser.close().catch(() => {})
    process.exit(0)
  })
say({ ready: true })
