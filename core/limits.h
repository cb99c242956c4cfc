// SPDX-License-Identifier: MIT
// Every bound that isn't a setting, with its reason.
#ifndef RDS_CORE_LIMITS_H
#define RDS_CORE_LIMITS_H

// Longest id that a server takes (protocol.md section 3), and the shortest that isn't answered
// with UUID_MISMATCH (section 4).
#define RDS_ID_MAX_BYTES 100
#define RDS_ID_MIN_BYTES 6

// Peers in memory and on file: some hundred MB, far above the largest fleets; what strangers
// register beyond it is refused.
#define RDS_PEERS 4000000

// B counts as online for this long after its last accepted message (section 4 point 6).
#define RDS_ONLINE_MS 30000

// More tries than this to register one id within the window are answered TOO_FREQUENT.
#define RDS_ID_TRIES           3
#define RDS_ID_TRIES_WINDOW_MS 6000

// Source addresses whose registrations are counted. Some 100 bytes each while quiet; when
// full, the one seen longest ago makes room: forged sources can then make limits forgetful,
// but can't lock anybody out.
#define RDS_LIMITED_SOURCES 65536

// Sources of unproven datagrams that are told apart: 16 bytes each. An office behind one address
// fits the burst: 500 machines that all start at once send two or three datagrams each.
#define RDS_RATE_SOURCES    65536
#define RDS_RATE_PER_SECOND 200
#define RDS_RATE_BURST      3000
// All of them together: far above what a fleet of 100,000 sends, and no load worth an attack.
#define RDS_RATE_TOTAL_PER_SECOND 50000

// Keys whose use is counted: the retired ones, the current and the next, and some to spare.
#define RDS_KEYS_USED 40

// Keys with which the secure channel is offered, where several are accepted: the current one, the
// next and those that were retired last. A client that holds another one can't secure.
#define RDS_OFFERED_KEYS 8

// Sources whose key is remembered while several are accepted: 12 bytes each, 3 MiB at most. Of
// 100,000 secured clients at as many addresses some two thirds keep a place; the others retry.
#define RDS_KEY_CHOICES 262144

// Ids that `rdsrv check` has reserved, how long one may be and lives, and how many one check takes:
// it plays a dozen clients in a few seconds, and some checks may run at once.
#define RDS_CHECK_IDS          64
#define RDS_CHECK_IDS_AT_ONCE  16
#define RDS_CHECK_ID_MAX_BYTES 32
#define RDS_CHECK_MS           60000

// Connections that wait for another client's answer: some 200 bytes each.
#define RDS_WAITS        20000
#define RDS_WAITS_PER_IP 1000

// What is remembered of attempts to connect (some 300 bytes each) and of refused registrations.
#define RDS_LEDGER_ATTEMPTS 2000
#define RDS_REFUSED         256

// Registrations on their way to the disk: at a few hundred bytes each, and at the speed of a
// slow disk, some seconds of work.
#define RDS_STORES_PENDING 65536

// Rows that go to the disk in one transaction: long enough to share one sync, short enough
// that a lone registration behind a full batch waits a few milliseconds.
#define RDS_STORE_BATCH 512

// What is remembered of peers from day to day goes to the disk a few at a time, since at midnight a
// whole fleet has something new: 100,000 peers take seven minutes. So many a second, out of so many
// that are looked at; and so many wait for the disk, a few seconds' worth.
#define RDS_NOTES_PER_SECOND      256
#define RDS_NOTE_LOOKS_PER_SECOND 8192
#define RDS_NOTES_QUEUED          1024

// Different client versions that are told apart, and the longest: a fleet has a few dozen.
#define RDS_VERSIONS          1024
#define RDS_VERSION_MAX_BYTES 32

// Frames on the rendezvous ports. OnlineRequest asks for thousands of ids at once, nothing else
// comes near.
#define RDS_FRAME_MAX_BYTES        (64 * 1024)
#define RDS_ONLINE_FRAME_MAX_BYTES (1024 * 1024)

// The relay's first frame: a RequestRelay, whose token can run to kilobytes.
#define RDS_RELAY_FRAME_MAX_BYTES (64 * 1024)

// Read at once of a connection whose first message is awaited; what is behind it mostly stays in
// the kernel until the session begins.
#define RDS_RELAY_FIRST_READ_BYTES (16 * 1024)

// A datagram of ours is far below this; a longer one from outside is dropped and counted.
#define RDS_DATAGRAM_MAX_BYTES 2048

// Any message that a server writes fits, lists (ConfigUpdate, OnlineResponse) excepted.
#define RDS_MESSAGE_MAX_BYTES 2048

// A rendezvous connection on which nothing arrives is closed: A waits up to 18 s between two
// requests (section 7).
#define RDS_CONN_IDLE_MS 30000

// Registered connections: a heartbeat when nothing was sent for so long (section 5 point 4;
// reverse proxies cut silent connections after 60 s), and how many may go unanswered.
#define RDS_KEEP_ALIVE_SEC        30
#define RDS_HEARTBEATS_UNANSWERED 2

// After our last byte, how long a connection may take to read it and close.
#define RDS_CONN_LINGER_MS 5000

// Bytes queued for a connection that doesn't read; over it, the connection is closed.
#define RDS_CONN_QUEUE_MAX_BYTES (256 * 1024)

// Connections of the rendezvous ports, in all: two thirds of a descriptor limit of 20,000
// leave room for everything else; where the limit is lower, the limit rules.
#define RDS_CONNS 200000
// From one address (a trusted proxy: the client that it names): an office registered over TCP fits.
#define RDS_CONNS_PER_IP 5000

// The relay (section 9 points 2, 3 and 5).
#define RDS_RELAY_HANDSHAKE_MS   30000
#define RDS_RELAY_WAIT_MS        30000
#define RDS_RELAY_IDLE_MS        (60 * 60 * 1000)
#define RDS_RELAY_WAITING        20000
#define RDS_RELAY_UUID_MAX_BYTES 128
#define RDS_RELAY_WAITING_PER_IP 1000

// WebSocket sides of sessions. Clients refuse frames and messages over these (section 2); a longer
// one goes to them in parts. A fragmented message for a TCP side is held until it is whole;
// clients send theirs in one piece.
#define RDS_WS_CLIENT_FRAME_BYTES   (16 * 1024 * 1024)
#define RDS_WS_CLIENT_MESSAGE_BYTES (64 * 1024 * 1024)
#define RDS_RELAY_MESSAGE_MAX_BYTES (16 * 1024 * 1024)

// Such messages, where a session holds more than the first of these, on one thread together: a few
// of the longest at once. Else some hundred sessions that stop in the middle of one fill any
// memory.
#define RDS_RELAY_LONG_BYTES      (1024 * 1024)
#define RDS_RELAY_LONG_BYTES_EACH (96 * 1024 * 1024)

// Probes of relays: how long one may take, how many run at once (two connections each: enough for a
// hundred dead relays that keep silent), how many in a row have to fail until a relay is dead, the
// longest pause between two probes of a dead one, and room for what is said of a failure.
#define RDS_PROBE_MS           3000
#define RDS_PROBES             16
#define RDS_PROBE_FAILURES     2
#define RDS_PROBE_PAUSE_MAX_MS 60000
#define RDS_PROBE_WHY_BYTES    160

// Addresses that are taken of a name: a host has two or four, and all have to be tried in time.
#define RDS_RESOLVE_ADDRS 8

// What a probe's session carries, with some room: one that carries more is a client's.
#define RDS_PROBE_SESSION_MAX_BYTES 64

// The same of a check's, which sends some 64 KiB to and fro.
#define RDS_CHECK_SESSION_MAX_BYTES (512 * 1024)

// Read at once from one side of a session, and held for the other while that doesn't take it; to
// read into there is one buffer a thread, not a session.
#define RDS_PUMP_CHUNK_BYTES (256 * 1024)

// Pipes that a thread lends to sessions in bulk transfer while bytes are in them: two descriptors
// and 256 KiB each, of which the kernel grants a user 64 MiB. Without one, bytes are copied.
#define RDS_PIPES_PER_THREAD 64

// A limited session may always save up so much: one segment or two.
#define RDS_QUOTA_LEAST_BYTES 4096

// What sessions have moved over a total limit is remembered up to so many seconds' worth.
#define RDS_FAIR_DEBT_SEC 2

// Session uuids that the ID server has passed on, where the relay pairs no others: as many as are
// held at least, 16 bytes each, and for how long. Clients that wait for each other do so for 30 s.
#define RDS_ISSUED_SESSIONS 32768
#define RDS_ISSUED_MS       60000

// blocklist.txt and blacklist.txt.
#define RDS_LIST_FILE_MAX_BYTES (4 * 1024 * 1024)

// Sessions' threads: more than cores are of no use.
#define RDS_RELAY_THREADS_MAX 64

// Descriptors that connections leave to the rest of the process: the database, pipes, logs. Where
// the limit is low, a quarter of it.
#define RDS_SPARE_DESCRIPTORS 64

// Local addresses (and interfaces) that UDP answers leave from; a host has a handful, and the
// whole of 127.0.0.0/8 in tests. Full: the kernel chooses the address. Some are kept for sockets
// that are opened later, at addresses of interfaces.
#define RDS_LOCAL_ADDRS   1024
#define RDS_LOCAL_SOCKETS 64

// Log lines of one kind (refusals) a second; what is over is counted and said in one line.
#define RDS_LOG_BURST 10

// Control sockets and consoles: a line, how long one may be awaited, the pause that ends one that
// is typed without its end, and how many connections there are at once (some 10 KB each; the oldest
// makes room).
#define RDS_LINE_MAX_BYTES 4096
#define RDS_LINE_IDLE_MS   10000
#define RDS_LINE_PAUSE_MS  1000
#define RDS_LINE_CLIENTS   64

// Settings: values longer than this are typing errors.
#define RDS_SETTING_MAX_BYTES 4096

// Key files, server.conf, configuration files: larger ones are something else.
#define RDS_SMALL_FILE_MAX_BYTES (64 * 1024)

// What a client is configured with: the largest form is a QR code as PNG.
#define RDS_CLIENT_FILE_MAX_BYTES (1024 * 1024)

#endif
