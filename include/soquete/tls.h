/* tls.h - TLS over streams: nobody else reads, nobody else writes, and the peer is who it says.
 *
 * The safe case needs nothing: soq_connect(&s, "tls://my.server.it:443") trusts what the system
 * trusts, checks the name, and speaks TLS 1.2 or 1.3. A server needs a certificate and a key:
 *
 *	soq_tls_new(&tls, &(struct soq_tls_options){ .certificate = "server.pem" });
 *	soq_serve("tls://:443", handler, NULL, &(struct soq_server_options){ .tls = tls });
 *
 * The stream is used as any other. A handshake that has not taken place yet does so in the
 * first call that receives or sends. Where the peer's flow ends without its saying so
 * (close_notify), a receive returns -SOQ_ETRUNCATED in place of 0: data may be missing.
 *
 * Who has met us within the last two hours need not shake hands in full (resumption): then
 * neither certificate nor staple is shown again, and what was found of them holds, for a day at
 * most and not beyond the certificate's end.
 *
 * Source: RFC 8446 (TLS 1.3), RFC 5246 (TLS 1.2), RFC 9325 (recommendations), RFC 9525 (names).
 */
#ifndef SOQUETE_TLS_H
#define SOQUETE_TLS_H

#include <soquete/base.h>
#include <soquete/stream.h>

SOQ_BEGIN_C

struct soq_tls;

enum soq_tls_version { SOQ_TLS_ANY, SOQ_TLS_1_2, SOQ_TLS_1_3 };

/* What a server wants of its clients' certificates. */
enum soq_tls_clients {
	SOQ_TLS_CLIENTS_ANY,	/* nothing: clients are anonymous */
	SOQ_TLS_CLIENTS_ASKED,	/* one that is presented must be trusted */
	SOQ_TLS_CLIENTS_NEEDED, /* and there must be one */
};

/* All zero is the default of each. Texts are copied; files are read by soq_tls_new(), and again
 * by soq_tls_reload(). */
struct soq_tls_options {
	/* Who we are: needed by a server, by a client only where the server asks for it. */
	const char *certificate; /* PEM file: ours, then those that lead to the CA's */
	const char *key;	 /* PEM file. NULL: in the certificate's file */
	const char *staple;	 /* DER file: the CA's word that ours is not revoked (OCSP) */

	/* Whom we trust. A server's certificate must have its name among its alternative names;
	 * the subject's does not count (RFC 9525). */
	const char *ca;	  /* PEM file, or folder as openssl-rehash(1) makes it, in place of what
			     the system trusts: CAs, or peers' very certificates */
	const char *crl;  /* PEM file: certificates of peers that their CA has revoked; there
			     must be the current list of each peer's CA */
	const char *pins; /* keys, one of which the peer or a CA above it must have: SHA-256 of
			     the SubjectPublicKeyInfo in base64, separated by blanks (RFC 7469
			     section 2.4). In addition to the CA; with insecure in its place,
			     and then the key must be the peer's own */
	bool staple_needed; /* the server must prove that its certificate is not revoked. One
			       that proves the contrary is refused anyway, and so is one without
			       proof whose certificate says that there will be (RFC 7633) */
	bool insecure; /* trust anybody: only to try things out. Not together with ca, crl or
			  staple_needed */
	enum soq_tls_clients
		clients; /* with ca, whose names are told to clients; or insecure */

	/* How. */
	const char *alpn; /* protocols, the best first, separated by blanks: "h2 http/1.1" */
	enum soq_tls_version min_version, max_version; /* SOQ_TLS_ANY: 1.2, 1.3 */
	const char *ciphers;	  /* of TLS 1.2, as openssl-ciphers(1) writes them. NULL: those
				     with forward secrecy and authenticated encryption */
	const char *ciphersuites; /* of TLS 1.3. NULL: all three */
	const char *keylog; /* file to which secrets are appended, for Wireshark. NULL: the one
			       that the environment's SSLKEYLOGFILE names, if any */
	bool no_resumption; /* each handshake is a full one */
	int64_t handshake_timeout_ns; /* for a whole handshake. 0: 10 s */
};

/**
 * A configuration, for any number of streams and threads. Suspends to read files.
 *
 * @ret  freed by soq_tls_free()
 * @opt  NULL for the defaults
 * @return 0; -ENOENT, -EACCES …: a file cannot be read; -SOQ_ETLS: what it holds is no
 *         certificate, no key, or they do not belong together; -EINVAL for an option that makes
 *         no sense; -EPROTONOSUPPORT: this build has no TLS; soq_last_error() says what
 */
SOQ_API int soq_tls_new(struct soq_tls **ret, const struct soq_tls_options *opt);

/** Give it up. Streams, listeners and servers that use it keep what they need. Accepts NULL. */
SOQ_API void soq_tls_free(struct soq_tls *tls);

/**
 * A further certificate of a server, chosen for clients that ask for a name it has (SNI); the
 * first is for all others. Suspends. With the same names as an earlier one but another kind of
 * key (RSA, P-256) it is for clients that do not understand the other.
 *
 * @key, @staple  as in the options
 * @return as soq_tls_new(); -EINVAL when @tls has no first certificate. After an error
 *         everything stays as it was
 */
SOQ_API int soq_tls_add_certificate(
	struct soq_tls *tls, const char *certificate, const char *key, const char *staple);

/**
 * Read all files again. Connections that stand are not touched, new ones use what is new; after
 * an error everything stays as it was. Suspends. May be called from any thread. Clients of a
 * server may still resume, unless they have certificates: those are checked afresh.
 * @return as soq_tls_new()
 */
SOQ_API int soq_tls_reload(struct soq_tls *tls);

/**
 * As soq_connect(), then the client's handshake. Suspends.
 *
 * @endpoint  "tls://…"; with "tcp://…" or "unix://…" TLS begins at once all the same
 * @tls       NULL for the defaults
 * @return as soq_connect(), or -SOQ_ECERTIFICATE (whom we met we do not trust), -SOQ_ETLS,
 *         -SOQ_ETRUNCATED, -ECONNRESET; soq_last_error() says which check failed, and why
 */
SOQ_API int soq_connect_tls(struct soq_stream **ret, const char *endpoint, struct soq_tls *tls);

/**
 * Begin TLS on a connected stream as its client (STARTTLS). Suspends for the handshake.
 * What was received in clear and not given out yet is discarded: an attacker could have put it
 * there (RFC 3207 section 4.2, CVE-2011-0411).
 *
 * @tls   NULL for the defaults
 * @name  the host's name or address that the certificate must have; NULL only if @tls is
 *        insecure or has pins
 * @return 0; as soq_connect_tls(), and only soq_close() remains valid; -EALREADY when it has
 *         TLS; -EBUSY while another fiber uses the stream; -EINVAL for want of a name
 */
SOQ_API int soq_start_tls(struct soq_stream *s, struct soq_tls *tls, const char *name);

/** The same as its server. @tls must have a certificate, or -EINVAL. */
SOQ_API int soq_start_tls_server(struct soq_stream *s, struct soq_tls *tls);

/**
 * Suspends until the handshake has taken place; at once when it has, or the stream has no TLS.
 * @return 0; as soq_connect_tls()
 */
SOQ_API int soq_handshake(struct soq_stream *s);

/* What a handshake came to. */
struct soq_tls_info {
	const char *version; /* "TLSv1.3" */
	const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
	char alpn[32];	     /* the protocol agreed upon, or "" */
	char name[256];	     /* the host's name that the client asked for, or "" */
	bool resumed;	     /* keys of an earlier connection spared the full handshake */
	bool trusted;	     /* the peer showed a certificate, and it was found good */
	char subject[256];   /* of the peer's certificate, or "" */
	char issuer[256];
	int64_t until_s; /* its last second, on the wall clock; 0: no certificate */
	char pin[48];	 /* of the peer's key, as in the options, or "" */
};

/** @return 0; -ENOTCONN when the stream has no TLS or has not shaken hands */
SOQ_API int soq_tls_info(const struct soq_stream *s, struct soq_tls_info *ret);

/* ---- certificates for a laboratory ---- */

/* All zero is the default of each. */
struct soq_certificate_options {
	const char *names; /* hosts' names and addresses, separated by blanks; the first
			      is the subject's too. NULL: "localhost 127.0.0.1 ::1" */
	bool ca;	   /* one that signs others; @names is what it is called. NULL:
			      "Laboratory CA" */
	bool client;	   /* shown by a client, and good for nothing else */
	const char *ca_certificate; /* PEM file of the CA that signs. NULL: it signs itself */
	const char *ca_key;	    /* PEM file. NULL: in the certificate's */
	unsigned rsa_bits;	    /* 2,048..8,192. 0: a P-256 key */
	int64_t from_ns;	    /* when it begins, counted from now; may be negative */
	int64_t lasts_ns;	    /* from then on. 0: 90 days; a CA: 10 years */
	bool replace;		    /* files that exist are written anew */
};

/**
 * Make a key and its certificate. Suspends. For trying things out: nobody but whoever is given
 * the certificate, or its CA's, trusts it.
 *
 * @certificate, @key  files to write, PEM; @key is readable by its owner only. The same name
 *                     twice, or a NULL @key: both in one file
 * @return 0; -EEXIST, -EACCES …; -EINVAL, -SOQ_ETLS; soq_last_error() says what
 */
SOQ_API int soq_make_certificate(
	const char *certificate, const char *key, const struct soq_certificate_options *opt);

SOQ_END_C

#endif
