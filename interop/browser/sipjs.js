// A SIP.js user agent under the same commands as the one of jssip.js, with the same events, by JsSIP's names. Nothing is
// answered or decided here, but that a REFER is followed.
import { Invitation, Inviter, Messager, Registerer, RegistererState, SessionState, SIPExtension, UserAgent } from 'sip.js'
import { report, adoptAs, nextCall, session, play, listen, dtmfSender, enable, camera, stats } from './common.js'

let ua, registerer
const numbers = new Map()   // of sessions

const uriOf = (target) => UserAgent.makeURI(target)
const describe = ({ message }) => ({ originator: 'remote', status: message.statusCode, reason: message.reasonPhrase })
const media = (more = {}) => ({ constraints: { audio: true, video: false }, ...more })
const connection = (call) => (session(call).sessionDescriptionHandler || session(call).early).peerConnection

// SIP.js has no word for a hold by the other side. The browser has: it may no longer send.
function tellHold(call, s) {
  const held = connection(call).getTransceivers().every((t) => ['recvonly', 'inactive', 'stopped'].includes(t.currentDirection))
  if (held === !!s.heldByThem) return
  s.heldByThem = held
  report(held ? 'hold' : 'unhold', { call, originator: 'remote' })
}

function adopt(s) {
  const call = nextCall()
  adoptAs(call, s)
  numbers.set(s, call)
  s.over = { originator: 'system' }
  s.stateChange.addListener((state) => {
    if (state === SessionState.Established) {
      s.wasUp = true
      report('accepted', { call })
      if (s instanceof Inviter) report('confirmed', { call })
    }
    if (state === SessionState.Terminated) report(s.wasUp ? 'ended' : 'failed', { call, ...s.over })
  })
  s.delegate = {
    onAck() {
      if (!s.acknowledged && s instanceof Invitation) report('confirmed', { call })
      s.acknowledged = true
    },
    onBye(bye) {
      s.over = { originator: 'remote', cause: 'Terminated' }
      bye.accept()
    },
    onCancel() { s.over = { originator: 'remote', cause: 'Canceled' } },
    onInfo(info) {
      const { body } = info.request, type = info.request.getHeader('Content-Type')
      const digit = type === 'application/dtmf-relay' && /^Signal=\s*(\S)/m.exec(body)
      if (digit) report('newDTMF', { call, originator: 'remote', body: digit[1] })
      else report('newInfo', { call, originator: 'remote', type, body })
      info.accept()
    },
    onInvite() {
      report('reinvite', { call })
      tellHold(call, s)
    },
    async onRefer(referral) {
      report('refer', { call, body: referral.request.getHeader('Refer-To') })
      await referral.accept()
      const made = referral.makeInviter({ sessionDescriptionHandlerOptions: media() })
      report('referred', { call: adopt(made) })
      await invite(made)
    },
    onSessionDescriptionHandler(handler) {
      s.early = handler   // the session's own only when it is up, where the 183 had the offer
      play(handler.peerConnection)
    },
  }
  return call
}

// Sends an INVITE and reports what is answered.
function invite(s) {
  const call = numbers.get(s)
  return s.invite({
    requestDelegate: {
      onProgress: (response) => report('progress', { call, ...describe(response) }),
      onRedirect: (response) => { s.over = { ...describe(response), cause: 'Redirected' } },
      onReject: (response) => { Object.assign(s.over, describe(response)) },
    },
  })
}

const reofferOptions = (call, hold) => media({
  hold: !!hold, constraints: { audio: true, video: session(call).withCamera ? camera : false },
})

// One offer inside a call; settles when the other side has agreed.
const reoffer = (call, hold, event) => new Promise((resolve, reject) => {
  session(call).invite({
    sessionDescriptionHandlerOptions: reofferOptions(call, hold),
    requestDelegate: {
      onAccept() {
        if (event) report(event, { call, originator: 'local' })
        resolve()
      },
      onReject: ({ message }) => reject(new Error(`answered ${message.statusCode}`)),
    },
  }).catch(reject)
})

// One REFER, and what NOTIFYs tell of it, by JsSIP's names.
function refer(call, target) {
  return session(call).refer(target, {
    onNotify(notification) {
      const [, status, reason] = /^SIP\/2.0 (\d+) (.*)/.exec(notification.request.body)
      const name = status === '100' ? 'trying' : status < 200 ? 'progress' : status < 300 ? 'accepted' : 'failed'
      report(`refer:${name}`, { call, status: Number(status), reason })
      notification.accept()
    },
    requestDelegate: {
      onAccept: (response) => report('refer:requestSucceeded', { call, ...describe(response) }),
      onReject: (response) => report('refer:requestFailed', { call, ...describe(response) }),
    },
  })
}

window.peer = {
  async newUA({ server, uri, password, expires, iceServers, relayOnly, reliable }) {
    const { user } = uriOf(uri)
    ua = new UserAgent({
      uri: uriOf(uri), authorizationUsername: user, authorizationPassword: password,
      transportOptions: { server }, logBuiltinEnabled: false,
      sipExtension100rel: reliable ? SIPExtension[reliable] : SIPExtension.Unsupported,
      sipExtensionReplaces: SIPExtension.Supported,
      sessionDescriptionHandlerFactoryOptions: {
        iceGatheringTimeout: 2000,
        peerConnectionConfiguration: { iceServers: iceServers || [], iceTransportPolicy: relayOnly ? 'relay' : 'all' },
      },
      delegate: {
        onConnect: () => report('connected'),
        onDisconnect: () => report('disconnected'),
        onInvite(invitation) {
          const call = adopt(invitation)
          report('newRTCSession', {
            call, originator: 'remote', from: String(invitation.remoteIdentity.uri), body: invitation.remoteIdentity.displayName,
          })
          if (invitation.replacee) report('replaces', { call: numbers.get(invitation.replacee) })
        },
        onMessage(message) {
          const { request } = message
          report('newMessage', {
            originator: 'remote', from: String(request.from.uri), type: request.getHeader('Content-Type'), body: request.body,
          })
          message.accept()
        },
      },
    })
    registerer = new Registerer(ua, { expires: expires || 600, regId: 1 })
    registerer.stateChange.addListener((state) => {
      if (state === RegistererState.Registered) report('registered')
      if (state === RegistererState.Unregistered) report('unregistered')
    })
    await ua.start()
  },
  stop() { return ua.stop() },
  send({ text }) { return ua.transport.send(text) },
  async register() {
    await registerer.register({ requestDelegate: { onReject: (response) => report('registrationFailed', describe(response)) } })
  },
  async unregister({ all }) { await registerer.unregister({ all }) },

  async call({ target, headers, video, earlyMedia, late }) {
    const s = new Inviter(ua, uriOf(target), {
      extraHeaders: headers || [], earlyMedia: !!earlyMedia, inviteWithoutSdp: !!late,
      sessionDescriptionHandlerOptions: media({ constraints: { audio: true, video: !!video } }),
    })
    const call = adopt(s)
    await invite(s)
    return call
  },
  async progress({ call, status, reliable }) {
    await session(call).progress({ statusCode: status, rel100: !!reliable, sessionDescriptionHandlerOptions: media() })
  },
  async answer({ call }) { await session(call).accept({ sessionDescriptionHandlerOptions: media() }) },
  async reject({ call, status }) {
    const s = session(call)
    s.over = { originator: 'local', cause: 'Rejected' }
    await s.reject({ statusCode: status })
  },
  async hangup({ call }) {
    const s = session(call)
    const cause = s.state === SessionState.Established ? 'Terminated' : 'Canceled'
    s.over = { originator: 'local', cause }
    if (cause === 'Terminated') await s.bye()
    else if (s instanceof Inviter) await s.cancel()
    else await s.reject()
  },
  hold({ call }) { return reoffer(call, true, 'hold') },
  unhold({ call }) { return reoffer(call, false, 'unhold') },
  renegotiate({ call }) { return reoffer(call) },
  camera({ call }) {
    session(call).withCamera = true
    session(call).sessionDescriptionHandlerOptionsReInvite = reofferOptions(call)   // for an answer
  },
  mute({ call }) { enable(connection(call), false) },
  unmute({ call }) { enable(connection(call), true) },
  async dtmf({ call, tones, rtp }) {
    if (rtp) {
      dtmfSender(call, connection(call))
      if (!session(call).sessionDescriptionHandler.sendDtmf(tones)) throw new Error('SIP.js sends no DTMF')
      return
    }
    for (const tone of tones) {
      const body = { contentDisposition: 'render', contentType: 'application/dtmf-relay', content: `Signal=${tone}\r\nDuration=100` }
      await new Promise((resolve, reject) => session(call).info({
        requestDelegate: { onAccept: resolve, onReject: ({ message }) => reject(new Error(`INFO answered ${message.statusCode}`)) },
        requestOptions: { body },
      }))
    }
  },
  listen({ call }) { return listen(call, connection(call)) },
  async refer({ call, target, replaces }) { await refer(call, replaces ? session(replaces) : uriOf(target)) },

  message({ target, body, type }) {
    return new Promise((resolve) => new Messager(ua, uriOf(target), body, type).message({
      requestDelegate: { onAccept: (r) => resolve(describe(r)), onReject: (r) => resolve(describe(r)) },
    }))
  },
  stats({ call }) { return stats(connection(call)) },
}
