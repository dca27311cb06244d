#!/bin/sh
# `tandem runway` against the real enforcer of OpenDNSSEC over Tandem over two vendors: ZSKs of 90 days, half-yearly
# backups. What is foretold is held against what the enforcer does when its clock is put forward for a year. Shows the
# arithmetic at several dates. Needs root (mounts of its own) and `make build members`.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
    echo "runway: skipped: needs root, for mounts of its own"
    exit 0
fi
if [ "${RUNWAY_NAMESPACE:-}" != "$$" ]; then
    exec env RUNWAY_NAMESPACE=$$ unshare --mount --propagation private -- sh tests/runway.sh
fi
tandem=$(realpath "${TANDEM_ARTIFACTS:-target/release}/tandem")
module=$(realpath "${TANDEM_ARTIFACTS:-target/release}/libtandem.so")
work=$(mktemp -d)
enforcer=''
clean_up() {
    status=$?
    trap - EXIT
    if [ -n "$enforcer" ]; then kill -KILL "$enforcer" 2> /dev/null || true; fi
    if [ "$status" = 0 ]; then rm -rf "$work"; else echo "runway: files kept in $work" >&2; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work"

fail() { echo "runway: $*" >&2; exit 1; }
wait_for() { # WHAT COMMAND...
    what=$1; shift
    tries=600
    until "$@"; do
        kill -0 "$enforcer" 2> /dev/null || { tail -n 15 enforcer.log >&2; fail "the enforcer died"; }
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "gave up waiting for $what"
        sleep 0.1
    done
}

"$tandem" demo --dir demo > demo.out || { cat demo.out >&2; exit 1; }
TANDEM_CONFIG=$work/demo/tandem.toml
TANDEM_PIN=123456
export TANDEM_CONFIG TANDEM_PIN

mkdir -p etc run var/db var/tmp var/enforcer var/signconf
chmod 700 etc
cp /etc/opendnssec/addns.xml etc/
echo '<?xml version="1.0" encoding="UTF-8"?><ZoneList/>' > etc/zonelist.xml
# The policy that OpenDNSSEC ships, with keys that both vendors can make.
sed -e 's/SoftHSM/hsm/; s/length="[0-9]*">8</length="256">13</' /usr/share/opendnssec/kasp.xml > etc/kasp.xml
cat > etc/conf.xml << XML
<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
 <RepositoryList><Repository name="hsm"><Module>$module</Module><TokenLabel>demo</TokenLabel><PIN>$TANDEM_PIN</PIN></Repository></RepositoryList>
 <Common><Logging><Verbosity>3</Verbosity></Logging>
  <PolicyFile>/etc/opendnssec/kasp.xml</PolicyFile><ZoneListFile>/etc/opendnssec/zonelist.xml</ZoneListFile></Common>
 <Enforcer><Datastore><SQLite>/var/lib/opendnssec/kasp.db</SQLite></Datastore>
  <AutomaticKeyGenerationPeriod>P1Y</AutomaticKeyGenerationPeriod>
  <WorkingDirectory>/var/lib/opendnssec/enforcer</WorkingDirectory></Enforcer>
</Configuration>
XML
mkdir -p /run/opendnssec
mount --bind etc /etc/opendnssec
mount --bind var /var/lib/opendnssec
mount --bind run /run/opendnssec
yes | ods-enforcer-db-setup > db-setup.out 2>&1 || { cat db-setup.out >&2; fail "no database"; }
setpriv --pdeathsig TERM ods-enforcerd -d > enforcer.log 2>&1 & enforcer=$!
is_up() { ods-enforcer running > /dev/null 2>&1; }
wait_for "the enforcer" is_up

next_task() { date -d "$(ods-enforcer queue | sed -n 's/^Next task scheduled .*(\([0-9]*\) seconds.*/@\1/p')" +%s; }
is_idle() { ods-enforcer queue > queue.out && grep -q 'All worker threads idle' queue.out &&
    [ "$(next_task)" -gt "$(sed -n 's/^It is now .*(\([0-9]*\) seconds.*/\1/p' queue.out)" ]; }
ask() { sqlite3 -cmd '.timeout 10000' /var/lib/opendnssec/kasp.db "$1"; }
unused() { ask "SELECT count(*) FROM hsmKey WHERE state = 1 AND role = $1"; }
# What the enforcer was seen to keep for a year: five ZSKs and one KSK, however many zones there are.
has_stock() { [ "$(unused 2)" -ge 5 ] && [ "$(unused 1)" -ge 1 ] && [ "$(ask 'SELECT count(*) FROM keyData')" -ge 4 ]; }
ods-enforcer policy import > commands.out 2>&1
for zone in a b; do
    ods-enforcer zone add -z $zone.example -p default -i "$work/$zone" -o "$work/$zone.signed" >> commands.out 2>&1
done
is_settled() { has_stock && is_idle && sleep 1 && has_stock && is_idle; }
wait_for "the zones' keys and a stock" is_settled

# The command of docs/guide/runway.md for those whose database can't be read.
ods-enforcer key list -p -v 2> /dev/null | cut -d';' -f7 | grep -E '^[0-9a-f]+$' | sort > used
ask 'SELECT locator FROM hsmKey WHERE state IN (2, 3)' | sort | cmp - used || fail "key list tells other keys than the database"

# runway DATE ARGUMENT...: shown, and kept as JSON; its exit code is in $code.
runway() {
    on=$1; shift
    echo
    echo "\$ tandem runway --opendnssec $*"
    code=0
    "$tandem" runway --opendnssec "$@" > shown || code=$?
    cat shown
    echo "exit code $code"
    again=0
    "$tandem" runway --opendnssec "$@" --json > "$on.json" || again=$?
    [ "$code" = "$again" ] || fail "exit codes $code and $again for the same question"
}
# of FILE QUERY: of the ZSKs' stock, or with $role of another. SQLite reads JSON.
role=ZSK
of() {
    sqlite3 :memory: "SELECT $2 FROM (SELECT value AS it FROM json_each(readfile('$1.json'), '\$.stocks')
        WHERE json_extract(value, '\$.name') = 'default $role')"
}
is() { # FILE FIELD EXPECTED
    found=$(of "$1" "json_extract(it, '\$.$2')")
    [ "$found" = "$3" ] || fail "$1: $role: $2 is $found, not $3"
}
day() { date -u -d "now + $1 days" +%F; }

# Nothing is backed up yet: nothing lasts.
runway never --every 6mo
[ "$code" = 1 ] || fail "without a backup nothing lasts"
is never verdict short
is never backed_up 0
is never not_backed_up 5

"$tandem" backup run --commit --out one.bundle > backup.out || { cat backup.out >&2; exit 1; }
next=$(day 182) after=$(day 364)

# Two zones take two ZSKs each in either half-year; five are backed up, and the enforcer keeps five.
runway fresh --next "$next" --next "$after"
is fresh backed_up 5
is fresh not_backed_up 0
is fresh to_next.taken 4
is fresh to_next.available 5
is fresh to_after.taken 4
is fresh to_after.available 5
is fresh verdict lasts
[ "$code" = 0 ] || fail "the keys last to both backups"
role=KSK
is fresh to_next.taken 0
is fresh to_after.taken 0
is fresh verdict lasts
role=ZSK

# The moments of a year, as foretold: to be held against what happens. Then the enforcer's clock is put forward, from one
# task to the next.
"$tandem" runway --opendnssec --next "$(day 300)" --next "$(day 380)" --json > foretold.json || true
for role in KSK ZSK; do
    of foretold "group_concat((SELECT group_concat(json_extract(value, '\$.at') || ' ' || json_extract(value, '\$.keys'), char(10))
        FROM json_each(it, '\$.taken')), char(10))"
done | sed '/^$/d' | sort > foretold.txt
role=ZSK
[ "$(awk '{ keys += $2 } END { print keys }' foretold.txt)" = 10 ] ||
    fail "not four ZSKs and a KSK for each zone in 380 days: $(cat foretold.txt)"
born=$(ask 'SELECT max(inception) FROM keyData')

# What zones have taken: kept from step to step, since the enforcer forgets keys that were replaced.
note_taken() { ask 'SELECT zoneId, role, inception FROM keyData' >> taken; }
forward() { # SECONDS: everything that is to be done up to then
    wait_for "the enforcer to be idle" is_idle
    while [ "$(next_task)" -le "$1" ]; do
        ods-enforcer time leap > leap.out 2>&1
        wait_for "the enforcer to be idle" is_idle
        note_taken
    done
}
is_refilled() { [ "$(unused 2)" -ge 5 ] && is_idle; }

forward "$(date -d "now + 100 days" +%s)"
wait_for "the stock to be filled up" is_refilled
# Two were taken. Two more are taken before the next backup; it takes in those that were made since.
runway "day-100" --next "$next" --next "$after" --now "$(day 100)"
is day-100 backed_up 3
is day-100 not_backed_up 2
is day-100 to_next.taken 2
is day-100 verdict lasts
[ "$code" = 0 ] || fail "the keys last on day 100"

forward "$(date -d "now + 181 days" +%s)"
wait_for "the stock to be filled up" is_refilled
# One is left that is backed up, and none is taken before the backup; if it is left out, the keys are out on day 270.
runway "day-181" --next "$next" --next "$after" --now "$(day 181)"
is day-181 backed_up 1
is day-181 not_backed_up 4
is day-181 to_next.taken 0
is day-181 verdict lasts
[ "$(of day-181 "substr(json_extract(it, '\$.runs_out'), 1, 10)")" = "$(date -u -d "@$((born + 270 * 86400))" +%F)" ] ||
    fail "the keys are out when the third ones are taken"
runway "left-out" --next "$after" --every 6mo --now "$(day 183)"
is left-out verdict short
[ "$code" = 1 ] || fail "a backup that is left out is one too many"

# What the tool says is to be done helps.
remedy=$(of left-out "json_extract(it, '\$.remedy')")
echo "$remedy" | grep -q 'make a backup before' || fail "the remedy is: $remedy"
"$tandem" backup run --commit --out two.bundle > backup.out || { cat backup.out >&2; exit 1; }
runway "day-183" --next "$after" --next "$(day 700)" --now "$(day 183)"
is day-183 backed_up 5
is day-183 verdict next-only
[ "$code" = 1 ] || fail "ten months are too long for five keys"
runway "day-183-next" --next "$after" --next "$(day 700)" --now "$(day 183)" --to next
role=KSK
is day-183-next verdict next-only
role=ZSK
[ "$code" = 0 ] || fail "to the next backup they last"
command=$(of day-183 "json_extract(it, '\$.remedy')" | sed -n 's/.*: \(ods-enforcer key generate .*\)/\1/p')
[ -n "$command" ] || fail "no command in the remedy"
echo "\$ $command"
before=$(of day-183 "json_extract(it, '\$.backed_up') + json_extract(it, '\$.not_backed_up') + json_extract(it, '\$.make')")
$command >> commands.out 2>&1
has_more() { [ "$(unused 2)" -ge "$before" ]; }
wait_for "the keys that were asked for" has_more
[ "$(unused 2)" = "$before" ] || fail "$(unused 2) unused ZSKs, not $before"
runway "made" --next "$after" --next "$(day 700)" --now "$(day 183)"
is made verdict lasts

forward "$(date -d "now + 370 days" +%s)"
# Every key that was taken since the first ones: how many, when.
sort -u taken | awk -F'|' -v born="$born" '$3 > born + 86400 { print $2, $3 }' | sort | uniq -c |
    while read -r keys _ at; do echo "$(date -u -d "@$at" +%FT%TZ) $keys"; done | sort > happened.txt
# Two minutes, within which the enforcer comes round to it.
awk -v slack=120 'function at(text) { gsub(/[-T:Z]/, " ", text); return mktime(text) }
    NR == FNR { when[++foretold] = at($1); keys[foretold] = $2; next }
    { for (one = 1; one <= foretold; one++)
        if (keys[one] >= $2 && at($1) - when[one] >= 0 && at($1) - when[one] <= slack) { keys[one] -= $2; met = 1; break }
      if (one > foretold) { print "not foretold: " $0; bad = 1 } }
    END { for (one = 1; one <= foretold; one++) if (keys[one] > 0) { print "did not happen: " one; bad = 1 } exit bad }' \
    foretold.txt happened.txt > parted || { cat parted foretold.txt happened.txt >&2; fail "what was foretold is not what happened"; }
echo
echo "what was foretold on the first day has happened:"
cat happened.txt
