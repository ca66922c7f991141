// A JsSIP user agent under the command of the tests: window.peer has the commands, window.report takes the events.
// Events carry JsSIP's own names; those of a call have its number in `call`. Nothing is answered or decided here, but
// that a REFER is followed and an INVITE with Replaces taken for a call.
import JsSIP from 'jssip'
import { report, adoptAs, nextCall, session, play, listen, dtmfSender, camera, stats } from './common.js'

JsSIP.debug.disable()

let ua, media
let takeOver = false   // whether calls that replace one are answered at once
let deaf = false       // whether there is no listener for them
let replacing = 0      // the call that the one to come wants to replace

// What JsSIP hands to a handler, as far as tests ask for it.
function describe(data = {}) {
  const message = data.status_line || data.response || data.message || data.request
  return {
    originator: data.originator,
    cause: data.cause,
    status: message && message.status_code,
    reason: message && message.reason_phrase,
  }
}

const sessionEvents = ['connecting', 'sending', 'progress', 'accepted', 'confirmed', 'ended', 'failed', 'hold', 'unhold',
  'muted', 'unmuted', 'reinvite', 'update', 'getusermediafailed', 'peerconnection:createofferfailed',
  'peerconnection:createanswerfailed', 'peerconnection:setlocaldescriptionfailed', 'peerconnection:setremotedescriptionfailed']

function adopt(s) {
  const call = nextCall()
  adoptAs(call, s)
  for (const name of sessionEvents) s.on(name, (data) => report(name, { call, ...describe(data) }))
  s.on('newDTMF', ({ originator, dtmf }) => report('newDTMF', { call, originator, body: dtmf.tone }))
  s.on('newInfo', ({ originator, info }) => report('newInfo', { call, originator, type: info.contentType, body: info.body }))
  s.on('refer', ({ request, accept }) => {
    report('refer', { call, body: request.getHeader('Refer-To') })
    accept((made) => report('referred', { call: adopt(made) }), { mediaConstraints: { audio: true, video: false }, pcConfig: media })
  })
  if (!deaf) s.on('replaces', ({ request, accept }) => {
    report('replaces', { call, body: request.getHeader('Replaces') })
    replacing = call
    accept()   // newRTCSession comes in it
    replacing = 0
  })
  s.on('peerconnection', ({ peerconnection }) => play(peerconnection))
  if (s.connection) play(s.connection)
  return call
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
  newUA({ server, spare, uri, password, expires, iceServers, relayOnly, patient, timeless, follow, deaf: noListener }) {
    media = { iceServers: iceServers || [], iceTransportPolicy: relayOnly ? 'relay' : 'all' }
    takeOver = !!follow
    deaf = !!noListener
    const sockets = [{ socket: new JsSIP.WebSocketInterface(server), weight: 10 }]
    if (spare) sockets.push({ socket: new JsSIP.WebSocketInterface(spare), weight: 1 })
    ua = new JsSIP.UA({
      sockets, uri, password, register: false, register_expires: expires || 600, session_timers: !timeless,
      ...(patient ? {} : { connection_recovery_min_interval: 1, connection_recovery_max_interval: 4 }),
    })
    for (const name of ['connected', 'disconnected', 'registered', 'unregistered', 'registrationFailed']) {
      ua.on(name, (data) => report(name, describe(data)))
    }
    ua.on('newMessage', ({ originator, message, request }) => report('newMessage', {
      originator, from: String(message.remote_identity.uri), type: request.getHeader('Content-Type'), body: request.body,
    }))
    ua.on('newOptions', ({ originator }) => report('newOptions', { originator }))
    ua.on('newRTCSession', ({ originator, session: s }) => {
      if (originator !== 'remote') return   // ours are adopted where they are made
      const call = adopt(s)
      if (takeOver && replacing) {
        report('takenOver', { call: replacing, body: String(call) })
        queueMicrotask(() => window.peer.answer({ call }))   // when JsSIP has made all of it
        return
      }
      report('newRTCSession', {
        call, originator, from: String(s.remote_identity.uri), body: s.remote_identity.display_name,
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

  call({ target, headers, video, timer }) {
    const s = ua.call(target, {
      mediaConstraints: { audio: true, video: !!video }, pcConfig: media, extraHeaders: headers || [],
      sessionTimersExpires: timer || undefined,
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
  async camera({ call }) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: camera })
    session(call).connection.addTrack(stream.getVideoTracks()[0], stream)
  },
  // What JsSIP's session timer does after 45 s (RFC 4028): an UPDATE without an offer.
  refresh({ call }) {
    return new Promise((resolve, reject) => session(call)._sendUpdate({ eventHandlers: { succeeded: () => resolve(), failed: reject } }))
  },
  mute({ call }) { session(call).mute({ audio: true }) },
  unmute({ call }) { session(call).unmute({ audio: true }) },
  dtmf({ call, tones, rtp }) {
    const s = session(call)
    if (rtp) dtmfSender(call, s.connection)
    s.sendDTMF(tones, { transportType: rtp ? 'RFC2833' : 'INFO' })
  },
  listen({ call }) { return listen(call, session(call).connection) },
  refer({ call, target, replaces }) {
    const eventHandlers = {}
    for (const name of ['requestSucceeded', 'requestFailed', 'trying', 'progress', 'accepted', 'failed']) {
      eventHandlers[name] = (data) => report(`refer:${name}`, { call, ...describe(data) })
    }
    session(call).refer(target, { eventHandlers, replaces: replaces ? session(replaces) : undefined })
  },

  message({ target, body, type }) { return exchange(ua.sendMessage, target, body, type) },
  options({ target }) { return exchange(ua.sendOptions, target, undefined, undefined) },
  stats({ call }) { return stats(session(call).connection) },
}
