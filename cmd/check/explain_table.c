// SPDX-License-Identifier: MIT
// Messages that people search for, and what they mean.
#include "cmd/check/explain.h"

const struct explain_row explain_rows[] = {
        // What clients show.
        {"Key mismatch", "LICENSE_MISMATCH|key-wrong|key-absent|Wrong key",
         "The controlling client has no key, or another one than this server enforces.",
         "rdsrv keygen --list at the server shows the keys that are let in; compare with the "
         "client's Settings > Network > Key, or run rdsrv export-conf --check FILE on what it "
         "was given.",
         "Enter the whole key, up to its last \"=\": rdsrv export-conf prints it, with all "
         "else that a client needs."},
        {"ID does not exist", "ID_NOT_EXIST|id-unknown",
         "No device of that ID has ever registered at this server.",
         "rdsrv ctl id peers lists those that have; a mistyped ID, or a device that uses "
         "another server, is not among them.",
         "Give that device this server's host and key as well (rdsrv export-conf); it has "
         "registered when its window says Ready."},
        {"Remote desktop is offline", "OFFLINE|id-offline",
         "The device is on file, but has not been heard of for 30 seconds.",
         "rdsrv ctl id peer ID says when it was; rdsrv check --host HOST --only udp.register, "
         "run at the device's place, says whether UDP gets through.",
         "Start RustDesk there and keep the machine awake; open UDP 21116 on the way; where "
         "UDP can't pass, switch on \"Disable UDP\" or \"Use WebSocket\" at that device."},
        {"Not ready. Please check your connection", "not_ready_status|Not ready",
         "The client has lost its registration, or never got an answer to it.",
         "rdsrv check --host HOST --key KEY at the client's place: udp.register, dns.id and "
         "http.21114 say what is in the way.",
         "Let UDP 21116 and its answers pass. TCP 21114 must answer or refuse: a firewall that"
         " drops it (DROP) keeps clients waiting, one that rejects it (REJECT) doesn't."},
        {"Connecting to the RustDesk network...", "connecting_status",
         "The client is trying to register, and the server's answer doesn't arrive.",
         "rdsrv check --host HOST --only dns.id,udp.register at its place; rdsrv check --only "
         "listen,firewall at the server.",
         "Set the ID server's name or address right in the client (no http://, no path), and "
         "open UDP and TCP 21116 in firewall, router and the provider's console."},
        {"Failed to secure tcp: deadline has elapsed", "Failed to secure tcp",
         "The client waited 18 seconds on TCP 21116 for the server's offer of a secure "
         "channel, and none came.",
         "rdsrv check --host HOST --only tcp.secure; at the server rdsrv ctl id settings shows"
         " whether secure-tcp is on.",
         "Set secure-tcp = on and restart the server. Nothing but the ID server may answer at "
         "TCP 21116: no web server, no proxy that speaks HTTP there."},
        {"Failed to secure tcp: invalid public key", "Failed to secure tcp|Invalid public key",
         "The server's offer is not signed with the key that the client has, or that key is no"
         " key.",
         "rdsrv export-conf --check FILE compares what the client was given with the live key;"
         " rdsrv check --host HOST --key KEY --only tcp.secure does so from outside.",
         "Enter the whole key in the client (44 characters, the last is \"=\"). If the "
         "server's key was lost or replaced, restore the old pair from a backup: rdsrv keygen "
         "--import FILE --rotate."},
        {"Failed to connect via rendezvous server",
         "Failed to connect to rendezvous server|Please try later",
         "Three requests for the other device stayed without an answer: the server told the "
         "device, and its answer didn't come back.",
         "rdsrv ctl id recent ID shows what became of the attempt; rdsrv check --only punch "
         "plays it with two clients.",
         "Both sides need TCP 21116, the device also UDP 21116 with its answers. Restart "
         "RustDesk at the device; behind a router that forgets UDP, switch on \"Disable UDP\" "
         "there."},
        {"Failed to connect to relay server", "Failed to connect via relay server",
         "The relay that the server named can't be reached from this side: its name doesn't "
         "resolve, or TCP 21117 is closed.",
         "rdsrv check --host HOST --only dns.relay,relay at this place; rdsrv ctl id relays "
         "shows the names that are handed out.",
         "Open TCP 21117; let relay-servers hold a name or address that clients reach from "
         "everywhere: never 0.0.0.0, a loopback address, or a name of the local network alone."},
        {"deadline has elapsed", "timed out|os error 10060|os error 110",
         "An answer didn't come in time: packets are dropped on the way, mostly by a firewall.",
         "rdsrv check --host HOST at the client's place names the port; rdsrv check --report "
         "FILE at the server and rdsrv check --host HOST --compare FILE here find the cause.",
         "Open TCP 21115 to 21119 and UDP 21116 in the server's firewall, the router's "
         "forwarding and the provider's console."},
        {"Connection reset by peer (os error 10054)",
         "Reset by the peer|os error 10054|os error 104|Connection reset by peer",
         "The server, or a device between, has closed the connection: a wrong key at the "
         "relay, a partner that never came, or a firewall.",
         "The relay's log says why, with the session's uuid; rdsrv check --only relay plays "
         "sessions, and relay.key shows that a wrong key is refused.",
         "Give both clients the same key (rdsrv export-conf); ID server and relay must enforce"
         " the same (rdsrv check --only keys.same). If an idle session ended, some router "
         "forgets it: raise that limit."},
        {"Connection refused (os error 10061)",
         "os error 10061|os error 111|Connection refused|actively refused",
         "The machine is there, but nothing listens at that port.",
         "rdsrv check --only service,listen at the server; ss -lunpt lists the ports.",
         "Start the server, or publish the port: containers need 21115 to 21119 TCP and 21116 "
         "UDP, both kinds."},
        {"not support by server yet",
         "server_not_support|Not yet supported by the server|NOT_SUPPORT|not supported by the "
         "server",
         "The server can't do what was asked for: the free hbbs answers so to registration "
         "over TCP or WebSocket, and to a change of ID.",
         "rdsrv check --host HOST --only tcp.register,ws.register shows what that server "
         "lacks.",
         "rdsrv serves all of these: start it with hbbs's data directory and the clients keep "
         "their key. Otherwise switch off \"Disable UDP\", \"Use WebSocket\" and any proxy in "
         "the client."},
        {"WebSocket connection to wss:// on port 21118 or 21119 failed",
         "wss://|21118|21119|ws://|WebSocket connection failed|WebSocket protocol error|HTTP "
         "error: 404 Not Found|/ws/id|/ws/relay",
         "21118 and 21119 speak WebSocket without TLS. Clients whose server is given by name "
         "come to port 80, or 443 with wss, at /ws/id and /ws/relay.",
         "rdsrv check --host HOST --only ws.name,ws.register,relay.ws shows which of the two "
         "ways answers.",
         "Let a web server end TLS at 443 and pass /ws/id to port 21118 and /ws/relay to port "
         "21119, with Upgrade headers; or enter the server by its IP address, which uses ws://"
         " on 21118 and 21119."},
        {"UUID_MISMATCH", "uuid-mismatch|pk-and-ip-differ|ID changes by itself|cloned machines",
         "Another machine holds that ID: machines were cloned with RustDesk in the image, and "
         "each draws a new ID again and again.",
         "rdsrv ctl id blocked counts refused registrations, and the log says uuid-mismatch or"
         " pk-and-ip-differ.",
         "On each clone stop RustDesk, give the machine its own machine id, remove "
         "RustDesk.toml from RustDesk's config directory and start it again. A machine that "
         "was set up anew: rdsrv ctl id forget ID."},
        {"Malformed private key",
         "malformed key|it is not base64|its public half does not belong to its seed",
         "The text in id_ed25519, or given with -k, is not a whole secret key: base64 of 64 "
         "bytes, 88 characters.",
         "rdsrv keygen --verify says what is wrong with the files; rdsrv check --only "
         "files.keys,keys.pair too.",
         "Restore id_ed25519 and id_ed25519.pub from a backup. For -k with a public key (44 "
         "characters) the server signs nothing: leave -k away where the key files are."},
        {"disk I/O error",
         "SQLITE_IOERR|database is locked|unable to open database file|attempt to write a "
         "readonly database",
         "SQLite can't read or write the database: the disk is full or failing, or the file "
         "system has no locks (NFS, SMB, some mounts of containers).",
         "rdsrv check --only files.data-dir,files.database; df -h and the kernel's log "
         "(dmesg).",
         "Make room, or move the data directory to a local disk; rdsrv copy-db FROM TO makes a"
         " whole copy first."},
        {"Address already in use", "os error 98|os error 10048|EADDRINUSE|can't listen on",
         "A port that the server wants is held: by a second server, an old hbbs, or another "
         "program.",
         "rdsrv check --only service.stale,listen names the process; so does ss -lunpt.",
         "Stop the other one, such as systemctl disable --now rustdesk-hbbs rustdesk-hbbr, or "
         "give rdsrv another port: --port."},
        {"Found argument '-r' which wasn't expected",
         "Found argument|isn't valid in this context|wasn't expected",
         "hbbr was started with -r: that is the ID server's option, which names the relays for"
         " clients.",
         "Look at the relay's line in docker-compose.yml, its unit file or script.",
         "Take -r from hbbr and give it to hbbs (rdsrv id, rdsrv serve): -r HOST, by which "
         "clients reach the relay."},
        {"Failed to make direct connection to remote desktop", "Failed to make direct connection",
         "The two couldn't reach each other directly, and had no relay to fall back to, or the"
         " relay failed, too.",
         "rdsrv ctl id relays shows what clients are told; rdsrv check --only "
         "relay.name,relay.tcp tries it.",
         "Run a relay (rdsrv serve has one) and set relay-servers to a name that clients "
         "resolve; open TCP 21117."},
        {"Relayed and unencrypted connection",
         "Direct and unencrypted connection|unencrypted connection|Insecure connection",
         "The controlling client couldn't verify the other device: the server signed nothing, "
         "or with another key than the client's.",
         "rdsrv check --host HOST --key KEY --only punch verifies the signature; rdsrv keygen "
         "--verify looks at the key files.",
         "Let the server have its key pair (not a public key with -k), and give every client "
         "that key: rdsrv export-conf."},
        {"ID_EXISTS", "id-taken|The ID already exists|Unavailable|Unavailable ID",
         "A change of ID was refused: another machine has that ID.",
         "rdsrv ctl id peer ID shows whose it is.",
         "Choose another, or free it if that machine is gone: rdsrv ctl id forget ID."},
        {"INVALID_ID_FORMAT", "id-invalid|new-id-invalid|Invalid format|Invalid ID",
         "The ID has a form that the server doesn't take. One that is chosen begins with a "
         "letter and has 6 to 16 letters, digits, - or _.",
         "The server's log says id-invalid or new-id-invalid, with the ID.",
         "Choose an ID of that form; IDs that were derived have no spaces or control "
         "characters and at most 100 bytes."},
        {"TOO_FREQUENT", "id-too-frequent|ip-too-frequent|ip-too-many-ids|Too frequent",
         "Too many registrations: more than 3 for one ID in 6 seconds, or from one address "
         "more than 30 a minute or 300 IDs a day.",
         "rdsrv ctl id blocked shows the addresses; many devices behind one address look like "
         "one.",
         "Wait a minute. For an office or a proxy: limit-exempt = NETWORK, or higher limit-"
         "register-minute and limit-ids-day; a proxy's own address belongs into trusted-"
         "proxies."},
        {"NOT_DEPLOYED", "not-enrolled|awaits-approval|NOT_ENROLLED",
         "The server takes no new devices by itself: enrol is approve or closed, or the ID was"
         " banned or forgotten while closed.",
         "rdsrv ctl id settings shows enrol; rdsrv ctl id peer ID and rdsrv ctl id blocked "
         "show the device.",
         "Let it in: rdsrv ctl id approve ID, or rdsrv ctl id unban ID; or set enrol = open."},
        {"SERVER_ERROR", "store-failed|stores-full", "The server couldn't store the registration.",
         "Its log says store-failed; rdsrv check --only files.",
         "Make room on the disk, or mend the data directory's owner and modes, as files.data-"
         "dir says; clients try again after 15 seconds."},
        {"The server is busy, please try again", "waits-full|server is busy",
         "More requests wait for an answer than the server keeps.",
         "rdsrv ctl id status shows how many; rdsrv ctl id recent shows from whom.",
         "Try again. If one address asks without end, close it out in the firewall."},
        {"Key overuse", "LICENSE_OVERUSE|license overuse",
         "A server with licences says that too many devices use it: rdsrv and the free hbbs "
         "never do.",
         "Another server answers than you think: look at the client's Settings > Network > ID "
         "server, and rdsrv check --host HOST.",
         "Enter this server's host and key: rdsrv export-conf."},
        // What rdsrv says at its start and in its log.
        {"held by process ..., which already runs here",
         "which already runs here|another process is at work on the keys",
         "A server runs in that data directory already, and two would spoil the database.",
         "rdsrv check --only service.self,service.stale names it.",
         "Stop the other one first, or name another directory with --data-dir."},
        {"no key is enforced: whoever reaches this server can use it", "no key is enforced",
         "Clients without a key, or with any, are let in. Called as hbbr without -k, this is "
         "what hbbr does.",
         "rdsrv check --only keys.same,relay.key.",
         "Give the relay the ID server's public key (rdsrv relay -k KEY), or run both as rdsrv"
         " serve, which enforces its own."},
        {"this relay has a key of its own", "if its ID server runs elsewhere",
         "The relay made or found a key pair in its own directory; clients show it the ID "
         "server's key and are refused.",
         "rdsrv check --only keys.same,relay.tcp; the two keys by rdsrv keygen --public -d "
         "DIR.",
         "Start it with the ID server's public key: rdsrv relay -k KEY; or let both use one "
         "data directory."},
        {"can't sign: sessions start without verified encryption", "can't sign",
         "The server was given a public key only, so it vouches for no device; clients of "
         "1.4.9 and later ask their users first.",
         "rdsrv keygen --verify; rdsrv check --only keys.pair,punch.",
         "Leave -k away where the key files are, or give the whole pair: rdsrv keygen --import"
         " FILE."},
        {"a relay's name does not resolve here", "does not resolve",
         "A name in relay-servers can't be resolved at the server; clients are told it all the"
         " same, since they resolve it.",
         "rdsrv check --only dns.relay; getent hosts NAME.",
         "Correct the name in relay-servers or in the DNS. If only clients know it (split "
         "DNS), nothing is wrong."},
        {"not handed out as a relay: no client can reach 0.0.0.0", "not handed out as a relay",
         "-r (relay-servers) is what clients are told, not where the server listens.",
         "rdsrv ctl id relays.",
         "Set relay-servers to the host's public name or address; bind says where to listen."},
        {"clients will look for the relay at another port", "name it with -r HOST:PORT",
         "The relay listens on another port than 21117, and clients add 21117 to a name "
         "without a port.",
         "rdsrv check --only relay.name; rdsrv ctl id relays.", "Name the port: -r HOST:PORT."},
        {"no secure channel on TCP", "clients behind proxies can't register",
         "secure-tcp is off: clients behind proxies can't register, and logged-in ones can't "
         "connect.",
         "rdsrv check --only tcp.secure,tcp.register.",
         "Set secure-tcp = on, unless clients before 1.2 must be served."},
        {"others can read the secret key", "0644 secret key",
         "id_ed25519 is readable by other users of the machine, as hbbs leaves it: who has it "
         "can pose as your devices.",
         "rdsrv check --only files.keys; rdsrv keygen --verify.",
         "chmod 600 id_ed25519 in the data directory. If a stranger may have read it: rdsrv "
         "keygen --rotate --grace 0."},
        {"the key files are gone", "id_ed25519 is gone",
         "id_ed25519 has vanished while the server runs; it goes on with the key that it has "
         "in memory.",
         "ls -l in the data directory; rdsrv keygen --verify.",
         "Restore the files from a backup before the next start: a new key would lock out "
         "every client."},
        {"key files changed, but can't be used: the old key goes on",
         "key files changed, but can't be used",
         "The key files were replaced by something that is no pair.",
         "rdsrv keygen --verify says what is wrong.",
         "Put the right pair back: rdsrv keygen --import FILE --rotate checks it first and "
         "keeps the old key working."},
        {"key refused", "key-retired",
         "A client showed a key that isn't let in: key-absent none, key-wrong another's, key-"
         "retired an old one of this server's.",
         "rdsrv keygen --list shows until when retired keys work, and who still used them.",
         "Give that client the live key (rdsrv export-conf). A longer grace next time: rdsrv "
         "keygen --rotate --grace 90d."},
        {"accepting paused",
         "no-descriptors|Too many open files|os error 24|newcomers refused: near the limit on "
         "open files",
         "The server is out of file descriptors: each connection needs one, a relayed session "
         "two.",
         "rdsrv check --only service.limits; rdsrv ctl relay status.",
         "Raise the limit: LimitNOFILE=1048576 in the unit, ulimits: nofile in Compose, ulimit"
         " -n in a shell; then restart."},
        {"the database is damaged",
         "database disk image is malformed|file is not a database|damaged",
         "db_v2.sqlite3 has been cut or overwritten; the server leaves it as it is.",
         "rdsrv check --only files.database.",
         "Stop the server and restore it from a backup (rdsrv ctl id backup DIR makes them). "
         "Without one, move it away: devices register anew within a minute."},
        {"another server's data is passed over", "several directories hold a server",
         "More than one directory has a server's files, and another one was chosen.",
         "The line \"data directory\" at the start says which, and why.",
         "Name the right one: --data-dir DIR. A wrong one has another key, which every client "
         "would refuse."},
        {"user ... can't use it, it belongs to user ...",
         "a new file does not belong to the directory's owner|can't open the data "
         "directory|Permission denied",
         "The service's user and the data directory's owner differ.",
         "rdsrv check --only files.data-dir,files.keys.",
         "chown -R USER:GROUP DIR, as the message says."},
        {"keys and peers will go with this container", "go with this container",
         "The data directory is no volume: with the container goes the key, and every client "
         "is locked out.",
         "docker inspect shows the container's mounts.",
         "Mount a directory or a volume at the data directory: -v ./data:/data or what the "
         "message names."},
        {"no answer from the control socket", "can't reach the control socket|no server runs in",
         "rdsrv ctl finds no server in that data directory, or one that hangs.",
         "rdsrv check --only service.self,service.stale.",
         "Name the data directory (--data-dir DIR), start the server, or restart it if it "
         "hangs."},
        {"relay is dead", "relay is alive",
         "The ID server can't connect to one of its relays and tells clients the others until "
         "it is back.",
         "rdsrv ctl id relays; rdsrv check --only dns.relay,relay.tcp.",
         "Start that relay, open its TCP port 21117 from the ID server, or take it from relay-"
         "servers."},
        {"partner-missing", "the other side of a session never came|no-message",
         "One side came to the relay, the other didn't within 30 seconds.",
         "rdsrv check --host HOST --only relay.name,dns.relay at the place of the side that is"
         " missing.",
         "Let relay-servers hold a name that both sides reach (see hairpin NAT: rdsrv check "
         "--compare), and open TCP 21117 outwards at both."},
};
const size_t explain_n_rows = sizeof explain_rows / sizeof explain_rows[0];
