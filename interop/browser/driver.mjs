// A browser under the command of the tests, one JSON object a line.
//   argv    chromium or firefox, PATH OF IT, URL OF THE PAGES, SPKI HASH of the certificate that Chromium is to accept
//   stdin   {"id":1,"page":1,"cmd":"open","args":{"peer":"jssip"}}   {"id":2,"page":1,"cmd":"call","args":{…}}   {"id":3,"page":1,"cmd":"close"}
//   stdout  {"ready":true} once, then {"id":1,"result":…} or {"id":1,"error":"…"}, and events {"page":1,"event":"…",…}
// The end of stdin ends it. All commands but open and close are those of window.peer in jssip.js and sipjs.js.
import puppeteer from 'puppeteer-core'
import readline from 'node:readline'

const [kind, executablePath, pagesURL, spki] = process.argv.slice(2)
const say = (o) => process.stdout.write(JSON.stringify(o) + '\n')

const chromium = {
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
}
const firefox = {
  extraPrefsFirefox: {
    'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true,
    'media.devices.insecure.enabled': true, 'media.getusermedia.insecure.enabled': true,
    'media.autoplay.default': 0, 'media.autoplay.blocking_policy': 0,
    'media.cubeb.force_mock_context': true,   // or no AudioContext runs where there is no sound card
    'media.peerconnection.ice.loopback': true, 'media.peerconnection.ice.obfuscate_host_addresses': false,
    'network.dns.disabled': true, 'network.proxy.type': 0, 'network.websocket.allowInsecureFromHTTPS': true,
    'media.gmp-manager.updateEnabled': false, 'network.captive-portal-service.enabled': false,
  },
}

const browser = await puppeteer.launch({
  browser: kind === 'firefox' ? 'firefox' : 'chrome', executablePath, headless: true, timeout: 120_000, protocolTimeout: 120_000,
  ...(kind === 'firefox' ? firefox : chromium),
})
const pages = new Map()

async function open(id, { peer }) {
  const context = await browser.createBrowserContext()
  const page = await context.newPage()
  pages.set(id, page)
  await page.exposeFunction('report', (line) => say({ page: id, ...JSON.parse(line) }))
  page.on('console', (m) => say({ page: id, event: 'console', body: m.text() }))
  page.on('pageerror', (e) => say({ page: id, event: 'pageerror', body: String(e?.stack || e) }))
  await page.goto(`${pagesURL}/${peer}.html`)
}

async function run({ page: id, cmd, args }) {
  if (cmd === 'open') return open(id, args)
  const page = pages.get(id)
  if (!page) throw new Error(`no page ${id}`)
  if (cmd === 'close') {
    pages.delete(id)
    return page.browserContext().close()
  }
  return page.evaluate(async (cmd, args) => {
    const result = await window.peer[cmd](args)
    await window.reported()   // what came before the end of the command is told before it
    return result
  }, cmd, args || {})
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
