#!/usr/bin/env bash
# OpenSSH: the public keys that ssh-keygen reads, and logins to a real sshd on loopback with keys
# that never leave the token.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need ssh ssh-keygen sshd pkcs11-tool
client "$(ssh -V 2>&1 | cut -d"," -f1 | tr _ " ")"

sshd=$(PATH=$PATH:/usr/sbin command -v sshd)
p11_user --keypairgen --key-type rsa:2048 --label rsa --id 71 > "$logs/ssh.keys.log" 2>&1
p11_user --keypairgen --key-type EC:prime256v1 --label ec --id 72 >> "$logs/ssh.keys.log" 2>&1

# ssh asks for the PIN through this program, having no terminal.
# shellcheck disable=SC2016 # askpass expands it
printf '#!/bin/sh\necho "$SSH_PIN"\n' > askpass
chmod 700 askpass
export SSH_PIN=$P11_PIN SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force

list() {
    limit ssh-keygen -D "$P11_MODULE" > keys
    grep -q '^ssh-rsa .* rsa' keys
    grep -q '^ecdsa-sha2-nistp256 .* ec' keys
}
check list list
grep '^ssh-rsa' keys > rsa.pub 2> /dev/null
grep '^ecdsa' keys > ec.pub 2> /dev/null

port=$((20000 + $$ % 20000))
ssh-keygen -q -t ed25519 -N '' -f host
cat > sshd_config << CONF
Port $port
ListenAddress 127.0.0.1
HostKey $work/host
AuthorizedKeysFile $work/authorized
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
CONF
echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 host.pub)" > known
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
"$sshd" -D -e -f sshd_config > "$logs/ssh.sshd.log" 2>&1 &
background+=($!)

login() { # KEY PIN: only this key is accepted, so only this key can have been used
    cp "$1.pub" authorized
    local said
    said=$(SSH_PIN=$2 limit ssh -F none -p "$port" -o "PKCS11Provider=$P11_MODULE" -o IdentitiesOnly=no \
        -o IdentityAgent=none -o IdentityFile=none -o "UserKnownHostsFile=$work/known" \
        -o PreferredAuthentications=publickey -o NumberOfPasswordPrompts=1 -o ConnectionAttempts=20 \
        127.0.0.1 'echo logged in')
    [ "$said" = 'logged in' ]
}
check login-rsa login rsa "$P11_PIN"
check login-ec login ec "$P11_PIN"
check login-wrong-pin refuses login rsa wrong1
check login-after-wrong-pin login rsa "$P11_PIN"
sign() { # ssh's own signatures over files
    printf 'a release' > release
    cp rsa.pub signer.pub
    limit ssh-keygen -D "$P11_MODULE" > /dev/null
    eval "$(ssh-agent -s -P "$(realpath "$P11_MODULE"),$P11_MODULE")"
    trap 'ssh-agent -k' EXIT
    limit ssh-add -s "$P11_MODULE"
    limit ssh-keygen -Y sign -f signer.pub -n file release
    echo "me $(cat rsa.pub)" > allowed
    ssh-keygen -Y verify -f allowed -I me -n file -s release.sig < release
}
check agent-sign sign
