#!/bin/sh
# Signs a zone with OpenDNSSEC through any PKCS #11 module, rolls its ZSK, and checks every result
# offline. It runs the real enforcer and signer, without systemd, in a mount namespace of its own.
#
#   opendnssec.sh [-a ALGORITHM] [-b] [-d DIR] [-m MEMBERS] [-c COMMAND] [-l] MODULE TOKEN_LABEL PIN [NAMES]
#
#   -a  DNSSEC algorithm of both keys: 13 (ECDSA P-256, the default), 14 or 8 (RSA-2048)
#   -b  OpenDNSSEC requires backups (RequireBackup): keys are made ahead, COMMAND stock backs them up,
#       and only then the zone is added
#   -d  where its files go, and stay afterwards; a temporary folder that is removed, if not given
#   -m  the folder MEMBERS/NAME of each member in turn is moved away, and the zone signed without it
#   -c  run as COMMAND PHASE [MEMBER] after each phase; what it answers is part of the test
#   -l  at last both daemons are stopped, COMMAND lost loses whatever it likes and brings it back, and
#       the zone is signed again, with the keys that it had
#
# Needs root, and the Debian packages that `scripts/setup.sh test` installs. The daemons get this
# script's environment, so TANDEM_CONFIG or SOFTHSM2_CONF reaches the module.
set -eu

usage() { sed -n '2,17s/^# \{0,1\}//p' "$0" >&2; exit 2; }

if [ "${ODS_NAMESPACE:-}" != "$$" ]; then
    [ "$(id -u)" = 0 ] || { echo "opendnssec.sh: needs root, for mounts of its own" >&2; exit 1; }
    # The namespace's shell keeps this process id through exec, so the mark holds for it alone.
    exec env ODS_NAMESPACE=$$ unshare --mount --propagation private -- sh "$0" "$@"
fi

algorithm=13 work='' members='' command='' backup='' lose=''
while getopts a:bd:m:c:l option; do
    case $option in
    a) algorithm=$OPTARG ;;
    b) backup='<RequireBackup/>' ;;
    l) lose=yes ;;
    d) work=$OPTARG ;;
    m) members=$OPTARG ;;
    c) command=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
case $# in 3 | 4) ;; *) usage ;; esac
module=$(realpath -e -- "$1") label=$2 pin=$3 names=${4:-1000}
case $algorithm in
8) bits=2048 ;;
13) bits=256 ;;
14) bits=384 ;;
*) usage ;;
esac
[ -z "$members" ] || members=$(realpath -e -- "$members")
zone=example.com
patience=120 # seconds that any one step may take

keep=yes
[ -n "$work" ] || { work=$(mktemp -d); keep=''; }
mkdir -p "$work"
work=$(realpath -e -- "$work")
cd "$work"

enforcer='' signer='' away=''
clean_up() {
    status=$?
    trap - EXIT
    for process in $enforcer $signer; do kill "$process" 2> /dev/null || true; done
    for process in $enforcer $signer; do
        timeout 5 tail --pid="$process" -f /dev/null || kill -KILL "$process" || true
    done
    if [ -n "$away" ]; then mv "$members/.away" "$members/$away"; fi
    if [ "$status" != 0 ]; then
        echo "opendnssec.sh: phase $phase failed; the daemons' last words:" >&2
        tail -n 15 "$work"/*.log >&2
        echo "files kept in $work" >&2
    elif [ -z "$keep" ]; then
        rm -rf "$work"
    fi
    exit "$status"
}
phase=setup
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "opendnssec.sh: $*" >&2; exit 1; }

# wait_for WHAT COMMAND...: until the command succeeds; a daemon that dies ends the wait at once.
wait_for() {
    what=$1; shift
    tries=$((patience * 10))
    until "$@"; do
        for process in $enforcer $signer; do
            kill -0 "$process" 2> /dev/null || fail "a daemon died while waiting for $what"
        done
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "gave up after $patience s waiting for $what"
        sleep 0.1
    done
}

# begin PHASE / done_ [MEMBER]: what a phase took, and whether a daemon complained in it.
begin() { phase=$1; began=$(date +%s%N); }
done_() {
    # The first three come from starting without a zone and without a mailer for the parent, the fourth
    # from asking for what is under way, and the last is what -b is about.
    if grep -hE '\[[0-3]\] (error|crit|alert|emerg)' ./*.log | grep -vE \
        "zones.xml: ods_fopen|unable to notify signer|DelegationSigner|already present${backup:+|not backed up yet}" > complaints
    then
        sort -u complaints >&2
        fail "the daemons complained"
    fi
    took=$((($(date +%s%N) - began) / 1000000))
    case $phase in
    sign | without | with)
        made=$(sed -n 's/.*RRSIG\[new=\([0-9]*\) .*/\1/p' signer.log | sort -n | tail -n 1)
        made="   ${made:-0} signatures in the largest run so far" ;;
    *) made='' ;;
    esac
    printf 'phase %-14s ok %4d.%03d s%s\n' "$phase${1+ $1}" $((took / 1000)) $((took % 1000)) "$made"
    [ -z "$command" ] || $command "$phase" ${1+"$1"}
}

# The zone's next version: every address, and so every signature but the NSECs', is a new one.
version=0
write_zone() {
    version=$((version + 1))
    awk -v names="$names" -v version="$version" 'BEGIN {
        print "$ORIGIN '$zone'.\n$TTL 1"
        print "@ SOA ns1 host " version " 3600 600 86400 1\n@ NS ns1\nns1 A 127.0.0.1"
        print "@ TXT \"version-" version "\""
        for (i = 0; i < names; i++)
            print "h" i " A 10." version "." int(i / 250) "." i % 250
    }' > zone.new
    mv zone.new unsigned/$zone
}
is_signed() { grep -qs "\"version-$version\"" signed/$zone; }

# Neither daemon is asked for anything while it works: the signer may be writing a zone whose DNSKEY
# set has no signature yet, and the enforcer refuses a command that meets one of its own tasks.
is_idle() { # ods-signer or ods-enforcer
    next=$("$1" queue | sed -n 's/^On \(.*\) I will.*/\1/p' | head -n 1)
    [ -n "$next" ] && [ "$(date -d "$next" +%s)" -gt $(($(date +%s) + 2)) ]
}
verify() {
    wait_for "the signer to be idle" is_idle ods-signer
    cp signed/$zone check.zone
    dnssec-verify -o $zone check.zone > verify.out 2>&1 || { cat verify.out >&2; fail "dnssec-verify"; }
    ldns-verify-zone check.zone > verify.out 2>&1 || { cat verify.out >&2; fail "ldns-verify-zone"; }
    signed=$(awk '$4 == "A" && $1 ~ /^h/' check.zone | wc -l)
    [ "$signed" = "$names" ] || fail "$signed names in the signed zone, not $names"
}

sign() { # PHASE [MEMBER]
    begin "$1"
    write_zone
    ods-signer sign $zone > /dev/null
    wait_for "the signed zone" is_signed
    verify
    shift
    done_ "$@"
}

# The enforcer's keys, as TYPE STATE ID TAG
keys() { ods-enforcer key list -p -v 2> /dev/null | awk -F';' -v z=$zone '$1 == z { print $2, $3, $7, $9 }'; }
key_tags() { keys | awk -v type="$1" -v state="$2" '$1 == type && $2 ~ state { print $4 }'; }
signing_tags() { awk '$4 == "RRSIG" && $5 != "DNSKEY" { print $11 }' signed/$zone | sort -u; }
ksk_is_ready() { [ -n "$(key_tags KSK 'ready|active')" ]; }
zsk_is_active() { [ -n "$(key_tags ZSK '^active$')" ]; }
old_zsk_has_retired() {
    new=$(key_tags ZSK '^active$')
    [ -n "$new" ] && [ "$new" != "$old" ]
}
new_zsk_signs_all() { [ "$(signing_tags)" = "$new" ]; }
# The third process beside enforcer and signer, and the one that sees what the HSM really holds.
hsm_ids() { ods-hsmutil list hsm 2> /dev/null | awk '$1 == "hsm" { print $2 }'; }
# The enforcer would look again in hours.
old_zsk_is_purged() {
    ods-enforcer enforce -z $zone > /dev/null
    sleep 0.5
    [ "$(key_tags ZSK .)" = "$new" ]
}

# stop NAME PID. Both daemons of 2.1.12 now and then crash or hang in their own clean-up, with SoftHSM
# alone too. By then every zone has been verified, so it is told and is no fault of the run.
stop() {
    timeout 20 "ods-$1" stop > /dev/null 2>&1 & asker=$!
    tries=200
    while kill -0 "$2" 2> /dev/null && [ $tries -gt 0 ]; do
        if grep -q Threaddump "$1.log"; then kill -KILL "$2" 2> /dev/null || true; fi
        tries=$((tries - 1))
        sleep 0.1
    done
    kill "$asker" 2> /dev/null || true
    kill -KILL "$2" 2> /dev/null || true
    code=0
    wait "$2" || code=$?
    [ "$code" = 0 ] || echo "the $1 did not end well ($code); its last words are in $1.log"
}

mkdir -p etc run signed unsigned var/db var/tmp var/enforcer var/signer var/signconf var/signed var/unsigned
chmod 700 etc # conf.xml holds the PIN
cp /etc/opendnssec/addns.xml etc/
echo '<?xml version="1.0" encoding="UTF-8"?><ZoneList/>' > etc/zonelist.xml

# Seconds where a real policy has days. A signature older than five seconds (Validity less Refresh)
# is made anew at the next run, so after a rollover the old ZSK's signatures go as quickly; Purge
# makes the enforcer destroy the old key in the HSM.
cat > etc/kasp.xml << XML
<?xml version="1.0" encoding="UTF-8"?>
<KASP><Policy name="quick"><Description>a rollover in seconds</Description>
 <Signatures><Resign>PT5S</Resign><Refresh>PT3595S</Refresh>
  <Validity><Default>PT1H</Default><Denial>PT1H</Denial></Validity>
  <Jitter>PT0S</Jitter><InceptionOffset>PT3600S</InceptionOffset><MaxZoneTTL>PT1S</MaxZoneTTL></Signatures>
 <Denial><NSEC/></Denial>
 <Keys><TTL>PT1S</TTL><RetireSafety>PT1S</RetireSafety><PublishSafety>PT1S</PublishSafety><Purge>PT1S</Purge>
  <KSK><Algorithm length="$bits">$algorithm</Algorithm><Lifetime>P1Y</Lifetime><Repository>hsm</Repository></KSK>
  <ZSK><Algorithm length="$bits">$algorithm</Algorithm><Lifetime>P90D</Lifetime><Repository>hsm</Repository></ZSK></Keys>
 <Zone><PropagationDelay>PT1S</PropagationDelay>
  <SOA><TTL>PT1S</TTL><Minimum>PT1S</Minimum><Serial>unixtime</Serial></SOA></Zone>
 <Parent><PropagationDelay>PT1S</PropagationDelay><DS><TTL>PT1S</TTL></DS>
  <SOA><TTL>PT1S</TTL><Minimum>PT1S</Minimum></SOA></Parent>
</Policy></KASP>
XML
# No <Syslog>: a container has none, and without it the daemons write their log to stderr. The port,
# which nobody asks here, is the run's own, so that two can run at once.
cat > etc/conf.xml << XML
<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
 <RepositoryList><Repository name="hsm"><Module>$module</Module><TokenLabel>$label</TokenLabel><PIN>$pin</PIN>$backup</Repository></RepositoryList>
 <Common><Logging><Verbosity>3</Verbosity></Logging>
  <PolicyFile>/etc/opendnssec/kasp.xml</PolicyFile><ZoneListFile>/etc/opendnssec/zonelist.xml</ZoneListFile></Common>
 <Enforcer><Datastore><SQLite>/var/lib/opendnssec/kasp.db</SQLite></Datastore>
  <AutomaticKeyGenerationPeriod>PT3600S</AutomaticKeyGenerationPeriod>
  <WorkingDirectory>/var/lib/opendnssec/enforcer</WorkingDirectory></Enforcer>
 <Signer><WorkingDirectory>/var/lib/opendnssec/signer</WorkingDirectory>
  <WorkerThreads>2</WorkerThreads><SignerThreads>4</SignerThreads>
  <Listener><Interface><Address>127.0.0.1</Address><Port>$((20000 + $$ % 20000))</Port></Interface></Listener></Signer>
</Configuration>
XML

begin start
# The daemons' sockets and state have fixed paths; here they are this folder's, and nobody else's.
mkdir -p /run/opendnssec
mount --bind etc /etc/opendnssec
mount --bind var /var/lib/opendnssec
mount --bind run /run/opendnssec
yes | ods-enforcer-db-setup > db-setup.out 2>&1 || { cat db-setup.out >&2; fail "no database"; }
# If this script is killed, so are they. One after the other: while one process logs in, SoftHSM
# answers another's C_GetTokenInfo with CKR_GENERAL_ERROR, which ends a daemon that just starts.
is_up() { "$1" running > /dev/null 2>&1; }
start_enforcer() {
    setpriv --pdeathsig TERM ods-enforcerd -d > enforcer.log 2>&1 & enforcer=$!
    wait_for "the enforcer" is_up ods-enforcer
}
start_signer() {
    setpriv --pdeathsig TERM ods-signerd -d > signer.log 2>&1 & signer=$!
    wait_for "the signer" is_up ods-signer
}
start_enforcer
[ -n "$backup" ] || start_signer
ods-enforcer policy import > commands.out 2>&1 || { cat commands.out >&2; fail "policy"; }
done_

add_zone() {
    write_zone
    ods-enforcer zone add -z $zone -p quick -i "$work/unsigned/$zone" -o "$work/signed/$zone" >> commands.out 2>&1 ||
        { cat commands.out >&2; fail "zone add"; }
}
# Keys must be backed up before they sign. The enforcer makes none for a policy without zones, so where this is the first, the
# signer waits until its keys are made, and some more for a rollover, and backed up.
if [ -n "$backup" ]; then
    begin stock
    add_zone
    wait_for "the enforcer to be idle" is_idle ods-enforcer
    ods-enforcer key generate -p quick -d P180D >> commands.out 2>&1 ||
        { cat commands.out >&2; fail "key generate"; }
    wait_for "the enforcer to be idle" is_idle ods-enforcer
    done_
fi

begin sign
if [ -n "$backup" ]; then start_signer; else add_zone; fi
wait_for "the signed zone" is_signed
verify
done_

begin parent
# What waited for its backup the enforcer would look at again in a minute.
[ -z "$backup" ] || ods-enforcer enforce -z $zone > /dev/null
wait_for "the KSK to be ready" ksk_is_ready
wait_for "the enforcer to be idle" is_idle ods-enforcer
ods-enforcer key ds-seen -z $zone -x "$(key_tags KSK .)" >> commands.out 2>&1
wait_for "the ZSK to be active" zsk_is_active
wait_for "the enforcer to be idle" is_idle ods-enforcer
done_

begin roll
old=$(key_tags ZSK .)
old_id=$(keys | awk '$1 == "ZSK" { print $3 }')
ods-enforcer key rollover -z $zone -t ZSK >> commands.out 2>&1
wait_for "the old ZSK to retire" old_zsk_has_retired
ods-signer sign $zone > /dev/null
wait_for "the new ZSK to sign everything" new_zsk_signs_all
verify
wait_for "the old ZSK to be purged" old_zsk_is_purged
hsm_ids > ids
if grep -q "$old_id" ids; then fail "the HSM still has the old ZSK"; fi
for id in $(keys | awk '{ print $3 }'); do grep -q "$id" ids || fail "the HSM has no key $id"; done
done_

for folder in ${members:+"$members"/*/}; do
    name=$(basename "$folder")
    begin away
    mv "$members/$name" "$members/.away"
    away=$name
    done_ "$name"
    sign without "$name"
    begin back
    mv "$members/.away" "$members/$name"
    away=''
    done_ "$name"
    sign with "$name"
done

stop_both() {
    wait_for "the signer to be idle" is_idle ods-signer # it frees what its threads still use
    stop signer "$signer"
    signer=''
    stop enforcer "$enforcer"
    enforcer=''
}

dnskeys() { awk '$4 == "DNSKEY"' signed/$zone | sort; }
if [ -n "$lose" ]; then
    dnskeys > dnskeys.before
    begin lost
    stop_both
    done_
    begin again
    start_enforcer
    start_signer
    done_
    sign found
    dnskeys > dnskeys.after
    cmp dnskeys.before dnskeys.after || fail "the zone has other keys than before"
fi

begin stop
stop_both
done_
