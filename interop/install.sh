#!/bin/bash
# Installs the foreign peers of the interop tests (Debian packages and npm packages) and bundles the pages.
# Does nothing that is already done, so it may be run again at any time. Must be root only when a Debian package is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# program or module that proves the package is there : package
wanted=(
	kamailio:kamailio
	@websocket.so:kamailio-websocket-modules
	@tls.so:kamailio-tls-modules
	@outbound.so:kamailio-outbound-modules
	turnserver:coturn
	sipp:sip-tester
	chromium:chromium
	firefox-esr:firefox-esr
	node:nodejs
	npm:npm
	ip:iproute2
)

present() {
	case $1 in
	@*) compgen -G "/usr/lib/*/kamailio/modules/${1#@}" >/dev/null ;;
	*) PATH=$PATH:/usr/sbin command -v "$1" >/dev/null ;;
	esac
}

missing=()
for w in "${wanted[@]}"; do
	present "${w%%:*}" || missing+=("${w##*:}")
done

if [ ${#missing[@]} -gt 0 ]; then
	echo "interop: installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	# The packages would start their daemons; the tests start their own.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
		trap 'rm -f "$policy"' EXIT
	fi
	apt-get update -q
	apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
for w in "${wanted[@]}"; do
	present "${w%%:*}" || { echo "interop: ${w##*:} is still missing" >&2; exit 1; }
done

cd browser
if ! npm ls --depth=0 >/dev/null 2>&1; then
	npm install --no-package-lock --no-audit --no-fund --loglevel=error
fi
npm run --silent build
echo "interop: ready"
