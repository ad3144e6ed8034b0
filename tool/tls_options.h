/* tls_options.h - what a command line says of TLS: whom we trust, who we are, and how.
 *
 * A subcommand has one struct tool_tls among its values, called tls, and in its table of
 * options the rows of its part, TOOL_TLS_CLIENT_OPTIONS or TOOL_TLS_SERVER_OPTIONS.
 */
#ifndef TOOL_TLS_OPTIONS_H
#define TOOL_TLS_OPTIONS_H

#include "tool.h"

/* All zero: nothing was said. */
struct tool_tls {
	struct tool_texts certificates, keys, staples;
	const char *ca, *crl, *clients, *pin, *name, *alpn, *min, *max, *starttls;
	bool insecure, staple_needed;
};

#define TOOL_TLS_AT(type, field) offsetof(type, tls.field)

#define TOOL_TLS_CLIENT_OPTIONS(type)                                                      \
	{ "ca", 0, OPTION_TEXT, TOOL_TLS_AT(type, ca), "FILE",                             \
		"TLS: trust these CAs, not the system's (PEM file, or folder)" },          \
		{ "crl", 0, OPTION_TEXT, TOOL_TLS_AT(type, crl), "FILE",                   \
			"TLS: certificates that the CA has revoked (PEM)" },               \
		{ "pin", 0, OPTION_TEXT, TOOL_TLS_AT(type, pin), "PINS",                   \
			"TLS: the peer's key must be one of these (-v tells it)" },        \
		{ "name", 0, OPTION_TEXT, TOOL_TLS_AT(type, name), "NAME",                 \
			"TLS: the server's name, where it is not the host's" },            \
		{ "insecure", 0, OPTION_FLAG, TOOL_TLS_AT(type, insecure), NULL,           \
			"TLS: trust anybody, for a try; or with --pin that key" },         \
		{ "staple-needed", 0, OPTION_FLAG, TOOL_TLS_AT(type, staple_needed), NULL, \
			"TLS: the server must prove that it is not revoked (OCSP)" },      \
		{ "cert", 0, OPTION_TEXTS, TOOL_TLS_AT(type, certificates), "FILE",        \
			"TLS: our certificate, for a server that asks (PEM)" },            \
		{ "key", 0, OPTION_TEXTS, TOOL_TLS_AT(type, keys), "FILE",                 \
			"TLS: its key (default: in the certificate's file)" },             \
		{ "alpn", 0, OPTION_TEXT, TOOL_TLS_AT(type, alpn), "LIST",                 \
			"TLS: protocols to offer, the best first (h2,http/1.1)" },         \
		{ "tls-min", 0, OPTION_TEXT, TOOL_TLS_AT(type, min), "VERSION",            \
			"TLS: 1.2 (default) or 1.3 at least" },                            \
		{ "tls-max", 0, OPTION_TEXT, TOOL_TLS_AT(type, max), "VERSION",            \
			"TLS: 1.2 or 1.3 (default) at most" },                             \
	{                                                                                  \
		"starttls", 0, OPTION_TEXT, TOOL_TLS_AT(type, starttls), "PROTOCOL",       \
			"TLS begins when ftp, imap, nntp, pop3 or smtp has agreed"         \
	}

#define TOOL_TLS_SERVER_OPTIONS(type)                                                   \
	{ "cert", 0, OPTION_TEXTS, TOOL_TLS_AT(type, certificates), "FILE",             \
		"TLS: our certificate (PEM); more of them for further names" },         \
		{ "key", 0, OPTION_TEXTS, TOOL_TLS_AT(type, keys), "FILE",              \
			"TLS: its key (default: in the certificate's file)" },          \
		{ "staple", 0, OPTION_TEXTS, TOOL_TLS_AT(type, staples), "FILE",        \
			"TLS: the CA's word that it is not revoked (OCSP, DER)" },      \
		{ "clients", 0, OPTION_TEXT, TOOL_TLS_AT(type, clients), "HOW",         \
			"TLS: clients' certificates are needed, or asked for" },        \
		{ "ca", 0, OPTION_TEXT, TOOL_TLS_AT(type, ca), "FILE",                  \
			"TLS: whose clients' certificates are good (PEM, or folder)" }, \
		{ "crl", 0, OPTION_TEXT, TOOL_TLS_AT(type, crl), "FILE",                \
			"TLS: clients' certificates that are revoked (PEM)" },          \
		{ "tls-min", 0, OPTION_TEXT, TOOL_TLS_AT(type, min), "VERSION",         \
			"TLS: 1.2 (default) or 1.3 at least" },                         \
	{                                                                               \
		"tls-max", 0, OPTION_TEXT, TOOL_TLS_AT(type, max), "VERSION",           \
			"TLS: 1.2 or 1.3 (default) at most"                             \
	}

/**
 * What does not go together, the endpoint included; see the messages.
 *
 * @is_tls  for a client: TLS begins at once; for a server: there is an endpoint for it
 * @return TOOL_GO_ON, or the exit status after bad usage was reported
 */
int tool_tls_check_client(
	const struct tool_command *command, const struct tool_tls *v, bool is_tls);
int tool_tls_check_server(
	const struct tool_command *command, const struct tool_tls *v, bool is_tls);

/**
 * Make a configuration of what was said. Suspends.
 *
 * @alpn  in place of what --alpn says, or NULL
 * @return TOOL_GO_ON, or the exit status after a failure was reported
 */
int tool_tls_new(struct soq_tls **ret, const struct tool_command *command,
	const struct tool_tls *v, const char *alpn);

/** Tell on standard error who the peer is, and what a handshake came to, a line each.
 *  @word  before the peer's address: "connected " */
void tool_tell(const char *word, const struct soq_stream *s);

/* starttls.c */

/** Whether STARTTLS is known of a protocol. */
bool tool_starttls_knows(const char *protocol);

/**
 * Ask the server, in clear, to begin TLS, as the protocol has it. Suspends.
 * @return TOOL_GO_ON: it has agreed; or the exit status after a failure was reported
 */
int tool_starttls(
	struct soq_stream *s, const char *protocol, const char *command, const char *endpoint);

#endif
