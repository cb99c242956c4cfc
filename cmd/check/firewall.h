// SPDX-License-Identifier: MIT
// Firewalls' rules, as far as they are understood, and what they do with a stranger's first packet.
// Each kind of firewall is read into the same chains of rules; what isn't understood of a rule is
// kept as "maybe", so that nothing is claimed that can't be known.
#ifndef RDS_CMD_CHECK_FIREWALL_H
#define RDS_CMD_CHECK_FIREWALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIREWALL_TCP 1U
#define FIREWALL_UDP 2U

enum firewall_verdict {
	FIREWALL_NONE, // counts, logs, marks
	FIREWALL_ACCEPT,
	FIREWALL_DROP, // or rejects
	FIREWALL_RETURN,
	FIREWALL_JUMP,
	FIREWALL_GOTO,
	FIREWALL_UNKNOWN, // any of them
};

#define FIREWALL_RANGES 16

struct firewall_rule {
	unsigned protos; // for which of them
	uint16_t from[FIREWALL_RANGES];
	uint16_t to[FIREWALL_RANGES];
	size_t n_ranges; // 0: any port
	bool never;      // it can't hold for a stranger's first packet
	bool some;       // it holds for some sources only
	bool maybe;      // it has conditions that aren't understood
	enum firewall_verdict verdict;
	char target[64]; // of jumps
};

struct firewall_chain {
	char table[80]; // "inet filter"; jumps stay in it
	char name[64];
	bool is_input; // packets for this host begin here
	enum firewall_verdict policy;
	struct firewall_rule *rules;
	size_t n;
};

struct firewall {
	struct firewall_chain *chains;
	size_t n;
};

enum firewall_answer { FIREWALL_OPEN, FIREWALL_CLOSED, FIREWALL_CANT_TELL };

// What becomes of a stranger's packet to the port; by: the chain that closes it.
enum firewall_answer firewall_ask(const struct firewall *firewall, bool udp, uint16_t port,
                                  const struct firewall_chain **by);
void firewall_clear(struct firewall *firewall);

// NULL: there is none. Borrowed until the next one is added.
struct firewall_chain *firewall_find(const struct firewall *firewall, const char *table,
                                     const char *name);

// For those that read: adds a chain (borrowed until the next one is added), or a rule to it.
struct firewall_chain *firewall_add_chain(struct firewall *firewall, const char *table,
                                          const char *name);
struct firewall_rule *firewall_add_rule(struct firewall_chain *chain);
void firewall_add_range(struct firewall_rule *rule, unsigned long from, unsigned long to);
// "21115:21119,21116", ranges with that sign between their ends.
void firewall_add_ranges(struct firewall_rule *rule, const char *text, char between);

// `nft -j list ruleset`. skip_ip, skip_ip6: iptables has told of those tables. false: not JSON.
bool firewall_read_nft(struct firewall *firewall, const char *json, bool skip_ip, bool skip_ip6);
// `iptables-save`; false: no filter table is in it.
bool firewall_read_iptables(struct firewall *firewall, const char *text);
// `ufw status verbose`; false: it isn't active.
bool firewall_read_ufw(struct firewall *firewall, const char *text);
// `firewall-cmd --list-all`; services that it names go to services (at most 256 bytes).
bool firewall_read_firewalld(struct firewall *firewall, const char *text, char services[256]);
// The ports of `firewall-cmd --info-service=NAME`, as more that is let in.
void firewall_read_service(struct firewall *firewall, const char *text);

#endif
