#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # expect calls most of what is here
# Goal: the image is built, composed and updated, with keys and peers kept; each kind of Compose file
# that there is for the images of old goes on; it stops at once, says what it needs, and is nobody's
# root. Its base is made by debootstrap here (BASE names another image).
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
image=rdsrv-test-$$
project=rdsrvtest$$
# An address of this machine for itself, so that other servers' ports don't matter.
host=127.$((1 + $$ % 250)).$((10 + $$ / 250 % 200)).7
title=docker
. test/full/helpers/common.sh
[ "$(id -u)" -eq 0 ] || skip 'needs root'
docker info >/dev/null 2>&1 || skip 'no engine runs here'
if docker compose version >/dev/null 2>&1; then
	compose='docker compose'
elif command -v docker-compose >/dev/null; then
	compose=docker-compose
else
	skip 'no Compose here'
fi
chmod 755 "$place"

remove_containers()
{
	containers=$(docker ps -aq --filter "name=$project")
	# shellcheck disable=SC2086 # a list of ids
	[ -z "$containers" ] || docker rm -f -v $containers >/dev/null
	for net in $(docker network ls -q --filter "name=$project"); do
		docker network rm "$net" >/dev/null || true
	done
	for tag in next latest build base; do
		docker rmi -f "$image:$tag" >/dev/null 2>&1 || true
	done
}
trap 'remove_containers || true; clean_up' EXIT

# --- the image

make_base()
{
	debian "$place/base" &&
		tar -C "$place/base" -c . | docker import - "$image:base" &&
		rm -rf --one-file-system "$place/base"
}

build_image()
{
	docker build --build-arg "BASE=$base" -t "$image:$1" ${2:+--target "$2"} \
		-f packaging/docker/Dockerfile .
}

# A newer image of the same: another id, as after an update.
make_next()
{
	printf 'FROM %s\nLABEL newer=1\n' "$image:latest" | docker build -t "$image:next" -
}

names_on_path()
{
	docker run --rm "$image" sh -ec 'for name in hbbs hbbr rustdesk-utils rdsrv; do
		command -v $name; done; rustdesk-utils genkeypair; hbbs --help; hbbr --help' &&
		docker inspect -f '{{.Config.Entrypoint}} {{.Config.Cmd}}' "$image" |
		grep -x '\[\] \[rdsrv serve\]'
}

# --- composed: each in a directory of its own, with the machine's address before published ports

in_dir()
(
	cd "$place/$1"
	shift
	"$@"
)

# A Compose file, from standard input.
new_dir()
{
	mkdir -p "$place/$1"
	sed "s|^\\( *- \\)\"\\{0,1\\}\\(211[0-9]*:211[0-9]*[/a-z]*\\)\"\\{0,1\\}\$|\\1\"$host:\\2\"|" \
		>"$place/$1/docker-compose.yml"
}

# in the current directory
up()
{
	$compose -p "$project" up -d && sleep 0.1
}

down()
{
	$compose -p "$project" down -v -t 2
}

container()
{
	$compose -p "$project" ps -q "$1"
}

logs()
{
	$compose -p "$project" logs --no-color
}

logs_say()
{
	logs >"$place/log" 2>&1
	for words in "$@"; do
		grep -q -- "$words" "$place/log" || {
			cat "$place/log"
			echo "not in the log: $words"
			return 1
		}
	done
}

session()
{
	/usr/bin/python3 "$root/test/full/session.py" "$host" 21116 "$(cat "$1/id_ed25519.pub")" \
		"${2:-}" || {
		logs
		return 1
	}
}

healthy()
{
	for service in "$@"; do
		[ "$(docker inspect -f '{{.State.Health.Status}}' "$(container "$service")")" = \
			healthy ] || return 1
	done
}

health_log()
{
	within 75 healthy "$@" || {
		docker inspect -f '{{json .State.Health}}' "$(container "$1")"
		return 1
	}
}

# A server that hangs is found out, as Docker does it.
hanging_is_unhealthy()
{
	pid=$(docker inspect -f '{{.State.Pid}}' "$(container "$1")")
	kill -STOP "$pid"
	status=0
	docker exec "$(container "$1")" rdsrv check --only service.self || status=$?
	kill -CONT "$pid"
	[ "$status" -eq 1 ] && docker exec "$(container "$1")" rdsrv check --only service.self
}

# runs_as UID SERVICE...: nobody's root, with no more rights than to open low ports
runs_as()
{
	uid=$1
	shift
	for service in "$@"; do
		pid=$(docker inspect -f '{{.State.Pid}}' "$(container "$service")")
		grep -E '^(Uid|CapPrm)' "/proc/$pid/status"
		[ "$(sed -n 's/^Uid:\t\([0-9]*\).*/\1/p' "/proc/$pid/status")" = "$uid" ] &&
			grep -qE '^CapPrm:\s0000000000000[04]00$' "/proc/$pid/status" || return 1
	done
}

stops_in_2_s()
{
	for service in "$@"; do
		id=$(container "$service")
		began=$(date +%s%3N)
		docker stop -t 20 "$id" || return 1
		took=$(($(date +%s%3N) - began))
		echo "$service took $took ms"
		[ "$took" -le 2000 ] || return 1
		[ "$(docker inspect -f '{{.State.ExitCode}}' "$id")" = 0 ] || return 1
	done
}

owned_by()
{
	ls -lan "$2"
	[ -z "$(find "$2" ! -uid "$1")" ]
}

same_files()
{
	for name in id_ed25519 id_ed25519.pub; do
		cmp "$1/$name" "$2/$name" || return 1
	done
}

knows_peer()
{
	docker exec "$(container "$1")" rdsrv ctl id peers >"$place/peers" && cat "$place/peers" &&
		grep -q "$2" "$place/peers"
}

update()
{
	cp -a data before && echo "RDSRV_IMAGE=$image:next" >>.env && up
}

updated_image()
{
	[ "$(docker inspect -f '{{.Config.Image}}' "$(container hbbs)")" = "$image:next" ]
}

exported()
{
	docker exec "$(container hbbs)" rdsrv export-conf >"$place/conf" && cat "$place/conf" &&
		grep -qx "id_server=$host" "$place/conf" &&
		grep -qx "key=$(cat data/id_ed25519.pub)" "$place/conf"
}

# A container by itself that must end with an error: ends_with WORDS OPTION...
ends_with()
{
	words=$1
	shift
	if timeout 20 docker run --rm --name "$project-try" "$@" >"$place/try" 2>&1; then
		cat "$place/try"
		return 1
	fi
	cat "$place/try"
	[ "$(grep -c '' "$place/try")" -eq 1 ] && grep -q -- "$words" "$place/try"
}

if [ -n "${BASE:-}" ]; then
	base=$BASE
else
	base=$image:base
	need_debian
	expect 'base by debootstrap' make_base
fi
expect 'the tree is built' build_image build build
expect 'image' build_image latest
docker inspect "$image:latest" >/dev/null 2>&1 || exit 1
make_next >/dev/null 2>&1
expect 'old names are on PATH, and there is no entry point' names_on_path

# --- our Compose file
new_dir own <packaging/docker/docker-compose.yml
printf 'HOST=%s\nRDSRV_IMAGE=%s\n' "$host" "$image:latest" >"$place/own/.env"
expect 'our Compose file' in_dir own up
# shellcheck disable=SC2086 # two words
expect 'it publishes 21116/udp, too' in_dir own $compose -p "$project" port --protocol=udp hbbs 21116
within 20 test -s "$place/own/data/id_ed25519.pub" || true
expect 'a session through the published ports' in_dir own session data 900000001
expect 'it took over the directory that the engine made' in_dir own logs_say 'took ownership'
expect 'all of it is user 21116'\''s' owned_by 21116 "$place/own/data"
expect 'it is not root, and has no rights of root' in_dir own runs_as 21116 hbbs hbbr
expect 'both are healthy' in_dir own health_log hbbs hbbr
expect 'one that hangs is not' in_dir own hanging_is_unhealthy hbbs
expect 'what to enter in clients' in_dir own exported
expect 'update of the image' in_dir own update
expect 'it is the new image' in_dir own updated_image
expect 'the key is the same' same_files "$place/own/data" "$place/own/before"
expect 'a session with the same key and device' in_dir own session data 900000001
expect 'peers are kept' in_dir own knows_peer hbbs 900000001
expect 'it stops within 2 s' in_dir own stops_in_2_s hbbs hbbr
in_dir own down >/dev/null 2>&1

# --- the plain image's: ./data:/root with what hbbs left there
new_dir plain <<END
services:
  hbbs:
    image: $image
    command: hbbs -r $host:21117
    volumes:
      - ./data:/root
    ports:
      - 21115:21115
      - 21116:21116
      - 21116:21116/udp
      - 21118:21118
    depends_on:
      - hbbr
    restart: unless-stopped
  hbbr:
    image: $image
    command: hbbr
    volumes:
      - ./data:/root
    ports:
      - 21117:21117
      - 21119:21119
    restart: unless-stopped
END
mkdir "$place/plain/data" "$place/plain/before"
cp test/vectors/db_v2.sqlite3 "$place/plain/data/"
docker run --rm "$image" rustdesk-utils genkeypair >"$place/pair"
public=$(sed -n 's/^Public Key: *//p' "$place/pair")
secret=$(sed -n 's/^Secret Key: *//p' "$place/pair")
printf '%s' "$public" >"$place/plain/data/id_ed25519.pub"
printf '%s' "$secret" >"$place/plain/data/id_ed25519"
cp "$place/plain/data/"* "$place/plain/before/"
expect "the plain image's file" in_dir plain up
expect 'a session there, with the old key' in_dir plain session before
expect 'the log says that data is in /root' in_dir plain logs_say \
	'path="/root"' 'working directory holds a server'
expect 'its key files stay' same_files "$place/plain/data" "$place/plain/before"
expect 'its peers are there' in_dir plain knows_peer hbbs "$(sqlite3 test/vectors/db_v2.sqlite3 \
	'SELECT id FROM peer LIMIT 1' 2>/dev/null || echo .)"
expect 'it is not root' in_dir plain runs_as 21116 hbbs hbbr
expect 'it is healthy' in_dir plain health_log hbbs hbbr
expect 'it stops within 2 s, as well' in_dir plain stops_in_2_s hbbs hbbr
in_dir plain down >/dev/null 2>&1

# --- the same, started fresh: what is made must be where the volume is
rm -rf "$place/plain/data"
expect 'the plain file, started fresh' in_dir plain up
within 20 test -s "$place/plain/data/id_ed25519.pub" || true
expect 'a session there' in_dir plain session data
expect 'it has its keys in the volume' test -s "$place/plain/data/id_ed25519"
in_dir plain down >/dev/null 2>&1

# --- with the host's network
new_dir host <<END
services:
  hbbs:
    image: $image
    command: hbbs
    environment: ["BIND=$host"]
    volumes: ["./data:/root"]
    network_mode: host
  hbbr:
    image: $image
    command: hbbr
    environment: ["BIND=$host"]
    volumes: ["./data:/root"]
    network_mode: host
END
expect "the plain file with the host's network" in_dir host up
within 20 test -s "$place/host/data/id_ed25519.pub" || true
expect 'a session there, too' in_dir host session data
in_dir host down >/dev/null 2>&1

# --- the supervised image's: variables, no command
new_dir supervised <<END
services:
  rustdesk-server:
    image: $image
    ports:
      - 21115:21115
      - 21116:21116
      - 21116:21116/udp
      - 21117:21117
      - 21118:21118
      - 21119:21119
    environment:
      - "RELAY=$host:21117"
      - "ENCRYPTED_ONLY=1"
      - "KEY_PRIV=$secret"
      - "KEY_PUB=$public"
    volumes:
      - ./data:/data
    restart: unless-stopped
END
expect "the supervised image's file" in_dir supervised up
expect 'a session with the key of its variables' in_dir supervised session ../plain/before
expect 'they became the key files' same_files "$place/supervised/data" "$place/plain/before"
expect 'one container runs both' in_dir supervised logs_say 'ready role="serve"'
expect 'and is healthy' in_dir supervised health_log rustdesk-server
expect 'and stops within 2 s' in_dir supervised stops_in_2_s rustdesk-server
in_dir supervised down >/dev/null 2>&1

new_dir secrets <<END
version: "3.5"
services:
  rustdesk-server:
    image: $image
    ports: ["$host:21116:21116", "$host:21116:21116/udp", "$host:21117:21117"]
    environment: ["RELAY=$host", "ENCRYPTED_ONLY=1"]
    volumes: ["./data:/data"]
    secrets: [key_pub, key_priv]
secrets:
  key_pub: {file: secrets/id_ed25519.pub}
  key_priv: {file: secrets/id_ed25519}
END
cp -r "$place/plain/before" "$place/secrets/secrets"
chmod 400 "$place/secrets/secrets/id_ed25519"
expect 'its file with secrets' in_dir secrets up
expect 'a session with the key of the secrets' in_dir secrets session secrets
expect 'the secrets became the key files' same_files "$place/secrets/data" "$place/plain/before"
in_dir secrets down >/dev/null 2>&1

# --- what goes wrong first, and how it says so
expect 'half a pair stops it' ends_with 'KEY_PUB is given without KEY_PRIV' \
	-e "KEY_PUB=$public" "$image"
mkdir "$place/owned"
expect 'as a user whose directory it is not: which chown' ends_with \
	'on the host, run chown -R 1000:1000' -v "$place/owned:/data" --user 1000:1000 "$image"
chown -R 1000:1000 "$place/owned"
new_dir user <<END
services:
  serve:
    image: $image
    user: "1000:1000"
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    volumes: ["$place/owned:/data"]
    ports: ["$host:21116:21116", "$host:21116:21116/udp", "$host:21117:21117"]
END
expect 'after that chown it starts, read-only and without capabilities' in_dir user up
within 20 test -s "$place/owned/id_ed25519.pub" || true
expect 'a session there, also' in_dir user session "$place/owned"
expect 'it is that user' in_dir user runs_as 1000 serve
expect 'and healthy' in_dir user health_log serve
in_dir user down >/dev/null 2>&1
expect 'without capabilities in a directory of others: which chown' ends_with \
	'on the host, run chown -R 21116:21116' -v "$place/owned:/data" --cap-drop ALL "$image"

new_dir bare <<END
services:
  serve:
    image: $image
    read_only: true
    cap_drop: [ALL]
    volumes: ["./data:/data"]
    ports: ["$host:21116:21116", "$host:21116:21116/udp", "$host:21117:21117"]
END
expect 'read-only and without capabilities in a new directory' in_dir bare up
within 20 test -s "$place/bare/data/id_ed25519.pub" || true
expect 'a session there as well' in_dir bare session data
expect 'the log says how to do without root' in_dir bare logs_say 'root without capabilities'
expect 'it is healthy, too' in_dir bare health_log serve
in_dir bare down >/dev/null 2>&1

exit $failed
