#!/usr/bin/env bash
# Installs the servers that tests talk to, on Debian and Ubuntu: Exim and Dovecot, slapd, 389-DS and Samba, and openssl; and
# what the optional login by Kerberos needs: the headers of Kerberos, and the package `kerberos` of npm. Starts none of them: the
# tests start their own in temporary folders, unprivileged where the server can be. Does nothing where all are there already.
set -euo pipefail

wanted=(exim4-daemon-light dovecot-core dovecot-imapd dovecot-lmtpd dovecot-sieve openssl)
wanted+=(slapd ldap-utils libsasl2-modules)
wanted+=(389-ds-base libnss3-tools)
wanted+=(samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind krb5-user)
wanted+=(python3-setproctitle python3-cryptography python3-markdown)
wanted+=(libkrb5-dev g++ make python3)

is_installed() {
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Beside npm, for this Node.js as a whole: nothing in the repository knows of it, so that `npm ci` is the same with and without.
kerberos=kerberos@7.0.0
node_prefix=$(dirname "$(dirname "$(node -p process.execPath)")")

has_kerberos() {
  node -e 'require(process.argv[1])' "$node_prefix/lib/node_modules/kerberos" 2>/dev/null
}

if ! command -v apt-get >/dev/null; then
  echo "install.sh knows apt-get only. Install Exim 4, Dovecot 2.3 (IMAP, LMTP, Sieve), slapd, ldap-utils, 389-DS, Samba (AD DC) and openssl by other means." >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  if is_installed "$package"; then continue; fi
  # The other build of Exim does as well.
  if [ "$package" = exim4-daemon-light ] && is_installed exim4-daemon-heavy; then continue; fi
  missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ] && has_kerberos; then exit 0; fi

# Exim and Postfix exclude each other as packages. A machine of CI may lose its Postfix, somebody's own may not.
if [[ " ${missing[*]} " == *" exim4-daemon-light "* ]] && is_installed postfix && [ "${CI:-}" != true ]; then
  echo "Postfix is installed, and installing Exim would remove it. Run the tests of mail on another machine or in a container." >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "Run this as root, or as somebody who may use sudo without a password: apt-get install ${missing[*]}; npm install --global $kerberos" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi

install_packages() {
  # invoke-rc.d(8): 101 forbids the packages to start their services.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
  fi
  apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
  echo "Installing ${missing[*]} …"
  "${apt[@]}" update
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
}

install_kerberos() {
  echo "Installing $kerberos …"
  log=$(mktemp)
  # Not in this folder: its .npmrc is for the repository.
  if ! (cd / && "${as_root[@]}" env "PATH=$PATH" npm install --global --prefix "$node_prefix" --no-audit --no-fund \
    --foreground-scripts "$kerberos") >"$log" 2>&1 || ! has_kerberos; then
    cat "$log" >&2
    echo "$kerberos could not be built; see above. Without it the tests of the login by Kerberos cannot run." >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

if [ ${#missing[@]} -gt 0 ]; then install_packages; fi
if ! has_kerberos; then install_kerberos; fi
