// A JsSIP user agent under the command of the tests: window.peer has the commands, window.report takes the events.
// Events carry JsSIP's own names; those of a call have its number in `call`. Nothing is answered or decided here.
import JsSIP from 'jssip'

JsSIP.debug.disable()

const report = (event, fields = {}) => window.report(JSON.stringify({ event, ...fields }))
const calls = new Map()
let ua, media

// Every message as it passed the socket. JsSIP sets socket.ondata itself, hence the property.
function traced(socket) {
  const send = socket.send.bind(socket)
  socket.send = (message) => {
    report('wire', { sent: true, text: String(message) })
    return send(message)
  }
  let deliver
  Object.defineProperty(socket, 'ondata', {
    set: (f) => { deliver = f },
    get: () => (data) => {
      report('wire', { sent: false, text: typeof data === 'string' ? data : new TextDecoder().decode(data) })
      deliver(data)
    },
  })
  return socket
}

// What JsSIP hands to a handler, as far as tests ask for it.
function describe(data = {}) {
  const message = data.response || data.message || data.request
  return {
    originator: data.originator,
    cause: data.cause,
    status: message && message.status_code,
    reason: message && message.reason_phrase,
  }
}

// A received track is decoded, and its energy counted, only while something plays it.
function play(connection) {
  if (connection.played) return
  connection.played = true
  connection.addEventListener('track', ({ track }) => {
    const element = document.createElement(track.kind)
    element.autoplay = true
    element.srcObject = new MediaStream([track])
    document.body.append(element)
  })
}

const sessionEvents = ['connecting', 'sending', 'progress', 'accepted', 'confirmed', 'ended', 'failed', 'hold', 'unhold',
  'muted', 'unmuted', 'reinvite', 'update', 'replaces', 'getusermediafailed', 'peerconnection:createofferfailed',
  'peerconnection:createanswerfailed', 'peerconnection:setlocaldescriptionfailed', 'peerconnection:setremotedescriptionfailed']

function adopt(session) {
  const call = calls.size + 1
  calls.set(call, session)
  for (const name of sessionEvents) session.on(name, (data) => report(name, { call, ...describe(data) }))
  session.on('newDTMF', ({ originator, dtmf }) => report('newDTMF', { call, originator, body: dtmf.tone }))
  session.on('newInfo', ({ originator, info }) => report('newInfo', { call, originator, type: info.contentType, body: info.body }))
  session.on('refer', ({ request, accept }) => {
    report('refer', { call, body: request.getHeader('Refer-To') })
    accept(adopt, { mediaConstraints: { audio: true, video: false }, pcConfig: media })
  })
  session.on('peerconnection', ({ peerconnection }) => play(peerconnection))
  if (session.connection) play(session.connection)
  return call
}

const session = (call) => {
  const s = calls.get(call)
  if (!s) throw new Error(`no call ${call}`)
  return s
}

// Reports as `heard` each DTMF digit in the sound that comes in, which for telephone-events Chromium makes itself. The
// same digit twice is reported once: on a busy machine the sound of one has holes.
const rows = [697, 770, 852, 941], columns = [1209, 1336, 1477, 1633], keys = ['123A', '456B', '789C', '*0#D']
async function listen(call) {
  const context = new AudioContext()
  const analyser = context.createAnalyser()
  const samples = new Float32Array(analyser.fftSize)   // 2048, or 43 ms
  const { track } = session(call).connection.getReceivers().find((r) => r.track.kind === 'audio')
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser)
  const share = (hertz, energy) => {   // of the energy, by Goertzel's algorithm: 0.5 for each tone of a digit
    const k = 2 * Math.cos((2 * Math.PI * hertz) / context.sampleRate)
    let a = 0, b = 0
    for (const x of samples) [a, b] = [x + k * a - b, a]
    return (2 * (a * a + b * b - k * a * b)) / (samples.length * energy)
  }
  let last
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples)
    const energy = samples.reduce((sum, x) => sum + x * x, 0)
    const row = rows.findIndex((f) => share(f, energy) > 0.3), column = columns.findIndex((f) => share(f, energy) > 0.3)
    const digit = energy > 0.01 && row >= 0 && column >= 0 ? keys[row][column] : undefined
    if (!digit || digit === last) return
    report('heard', { call, body: digit })
    last = digit
  }, 20)
  session(call).once('ended', () => { clearInterval(timer); context.close() })
  while (context.currentTime < 0.3) await new Promise((resolve) => setTimeout(resolve, 20))   // deaf until then
}

// One offer inside a call; settles when the other side has agreed. JsSIP takes no other before that.
const reoffer = (s, method, update) => new Promise((resolve, reject) => {
  s.once('ended', () => reject(new Error(`the call ended with the ${method}`)))
  if (!s[method]({ useUpdate: !!update }, resolve)) reject(new Error(`JsSIP is not ready to ${method}`))
})

// One request outside a call; settles with the answer.
const exchange = (send, target, body, type) => new Promise((resolve) => {
  const settled = (data) => resolve(describe(data))
  send.call(ua, target, body, { contentType: type || undefined, eventHandlers: { succeeded: settled, failed: settled } })
})

window.peer = {
  newUA({ server, uri, password, expires, iceServers, relayOnly }) {
    media = { iceServers: iceServers || [], iceTransportPolicy: relayOnly ? 'relay' : 'all' }
    ua = new JsSIP.UA({
      sockets: [traced(new JsSIP.WebSocketInterface(server))],
      uri, password, register: false, register_expires: expires || 600,
      connection_recovery_min_interval: 1, connection_recovery_max_interval: 4,
    })
    for (const name of ['connected', 'disconnected', 'registered', 'unregistered', 'registrationFailed']) {
      ua.on(name, (data) => report(name, describe(data)))
    }
    ua.on('newMessage', ({ originator, message, request }) => report('newMessage', {
      originator, from: String(message.remote_identity.uri), type: request.getHeader('Content-Type'), body: request.body,
    }))
    ua.on('newOptions', ({ originator }) => report('newOptions', { originator }))
    ua.on('newRTCSession', ({ originator, session: s, request }) => {
      if (originator !== 'remote') return   // ours are adopted where they are made
      report('newRTCSession', {
        call: adopt(s), originator, from: String(s.remote_identity.uri), body: s.remote_identity.display_name,
      })
    })
    ua.start()
  },
  stop() { ua.stop() },
  send({ text }) {
    if (!ua.transport.send(text)) throw new Error('not connected')
  },
  register() { ua.register() },
  unregister({ all }) { ua.unregister({ all }) },

  call({ target, headers, video }) {
    const s = ua.call(target, {
      mediaConstraints: { audio: true, video: !!video }, pcConfig: media, extraHeaders: headers || [],
    })
    return adopt(s)
  },
  answer({ call }) {
    session(call).answer({
      mediaConstraints: { audio: true, video: false }, pcConfig: media,
      rtcOfferConstraints: { offerToReceiveAudio: true },   // or there is no audio in the offer to an INVITE without one
    })
  },
  reject({ call, status }) { session(call).terminate({ status_code: status }) },
  hangup({ call }) { session(call).terminate() },
  hold({ call, update }) { return reoffer(session(call), 'hold', update) },
  unhold({ call, update }) { return reoffer(session(call), 'unhold', update) },
  renegotiate({ call, update }) { return reoffer(session(call), 'renegotiate', update) },
  // What JsSIP's session timer does after 45 s (RFC 4028): an UPDATE without an offer.
  refresh({ call }) {
    return new Promise((resolve, reject) => session(call)._sendUpdate({ eventHandlers: { succeeded: () => resolve(), failed: reject } }))
  },
  mute({ call }) { session(call).mute({ audio: true }) },
  unmute({ call }) { session(call).unmute({ audio: true }) },
  dtmf({ call, tones, rtp }) {
    const s = session(call)
    const sender = rtp && s.connection.getSenders().find((x) => x.dtmf)
    if (sender) sender.dtmf.ontonechange = ({ tone }) => report('tonechange', { call, body: tone })
    s.sendDTMF(tones, { transportType: rtp ? 'RFC2833' : 'INFO' })
  },
  listen({ call }) { return listen(call) },
  refer({ call, target }) {
    const eventHandlers = {}
    for (const name of ['requestSucceeded', 'requestFailed', 'trying', 'progress', 'accepted', 'failed']) {
      eventHandlers[name] = (data) => report(`refer:${name}`, { call, ...describe(data) })
    }
    session(call).refer(target, { eventHandlers })
  },

  message({ target, body, type }) { return exchange(ua.sendMessage, target, body, type) },
  options({ target }) { return exchange(ua.sendOptions, target, undefined, undefined) },

  async stats({ call }) {
    const all = await session(call).connection.getStats()
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
  },
}
