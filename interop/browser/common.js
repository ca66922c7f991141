// What the pages of JsSIP and SIP.js have in common: reports to the tests, calls by number, and media as the browser counts it.

// report hands an event to the tests. One is under way at a time: a browser may hand several over in another order.
let reports = Promise.resolve()
export function report(event, fields = {}) {
  const line = JSON.stringify({ event, ...fields })
  reports = reports.then(() => window.report(line)).catch(() => {})   // the page is going
}
window.reported = () => reports

// Every message as it passes the socket.
window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args)
    this.addEventListener('message', ({ data }) => {
      report('wire', { sent: false, text: typeof data === 'string' ? data : new TextDecoder().decode(data) })
    })
  }
  send(message) {
    report('wire', { sent: true, text: String(message) })
    super.send(message)
  }
}

const calls = new Map()
export function adoptAs(number, session) { calls.set(number, session) }
export function nextCall() { return calls.size + 1 }
export function session(call) {
  const s = calls.get(call)
  if (!s) throw new Error(`no call ${call}`)
  return s
}

// A received track is decoded, and its energy counted, only while something plays it.
export function play(connection) {
  if (connection.played) return
  connection.played = true
  connection.addEventListener('track', ({ track }) => {
    const element = document.createElement(track.kind)
    element.autoplay = true
    element.srcObject = new MediaStream([track])
    document.body.append(element)
  })
}

// Reports as `heard` each DTMF digit in the sound that comes in, which for telephone-events the browser makes itself. The
// same digit twice is reported once: on a busy machine the sound of one has holes. Settles when it listens.
const rows = [697, 770, 852, 941], columns = [1209, 1336, 1477, 1633], keys = ['123A', '456B', '789C', '*0#D']
export async function listen(call, connection) {
  const context = new AudioContext()
  const analyser = context.createAnalyser()
  const samples = new Float32Array(analyser.fftSize)   // 2048, or 43 ms
  const { track } = connection.getReceivers().find((r) => r.track.kind === 'audio')
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser)
  const share = (hertz, energy) => {   // of the energy, by Goertzel's algorithm: 0.5 for each tone of a digit
    const k = 2 * Math.cos((2 * Math.PI * hertz) / context.sampleRate)
    let a = 0, b = 0
    for (const x of samples) [a, b] = [x + k * a - b, a]
    return (2 * (a * a + b * b - k * a * b)) / (samples.length * energy)
  }
  let last
  const timer = setInterval(() => {
    if (connection.connectionState === 'closed') {
      clearInterval(timer)
      context.close()
      return
    }
    analyser.getFloatTimeDomainData(samples)
    const energy = samples.reduce((sum, x) => sum + x * x, 0)
    const row = rows.findIndex((f) => share(f, energy) > 0.3), column = columns.findIndex((f) => share(f, energy) > 0.3)
    const digit = energy > 0.01 && row >= 0 && column >= 0 ? keys[row][column] : undefined
    if (!digit || digit === last) return
    report('heard', { call, body: digit })
    last = digit
  }, 20)
  while (context.currentTime < 0.3) await new Promise((resolve) => setTimeout(resolve, 20))   // deaf until then
}

// The sender of telephone-events (RFC 4733), which reports what it plays.
export function dtmfSender(call, connection) {
  const { dtmf } = connection.getSenders().find((x) => x.dtmf && x.track?.kind === 'audio')
  dtmf.ontonechange = ({ tone }) => report('tonechange', { call, body: tone })
  return dtmf
}

export function enable(connection, on) {
  for (const { track } of connection.getSenders()) {
    if (track?.kind === 'audio') track.enabled = on
  }
}

// camera is a small one: it is drawn and encoded by the processors that the tests run on.
export const camera = { width: 160, height: 120, frameRate: 10 }

export async function stats(connection) {
  const all = await connection.getStats()
  const out = {}
  for (const s of all.values()) {
    if (s.type === 'inbound-rtp' && s.kind === 'audio') {
      out.inPackets = s.packetsReceived
      out.inBytes = s.bytesReceived
      out.inEnergy = s.totalAudioEnergy
      out.inCodec = all.get(s.codecId)?.mimeType
    } else if (s.type === 'outbound-rtp' && s.kind === 'audio') {
      out.outPackets = s.packetsSent
      out.outBytes = s.bytesSent
      out.outCodec = all.get(s.codecId)?.mimeType
    } else if (s.type === 'inbound-rtp' && s.kind === 'video') {
      out.inFrames = s.framesDecoded
    } else if (s.type === 'outbound-rtp' && s.kind === 'video') {
      out.outFrames = s.framesSent
    } else if (s.type === 'transport') {
      out.dtls = s.dtlsState
      const pair = all.get(s.selectedCandidatePairId)
      const local = pair && all.get(pair.localCandidateId)
      out.local = local?.candidateType
      out.relayProtocol = local?.relayProtocol
      out.remote = pair && all.get(pair.remoteCandidateId)?.candidateType
    }
  }
  return out
}
