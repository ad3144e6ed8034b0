/* tls_save.h - files that are written as a whole, several of them or none. */
#ifndef SOQ__TLS_SAVE_H
#define SOQ__TLS_SAVE_H

#include <openssl/bio.h>
#include <stdbool.h>

struct soq__tls_saved {
	const char *path;
	BIO *bytes;	 /* in memory */
	bool secret;	 /* readable by its owner only */
	char *temporary; /* soq__tls_save()'s own, NULL before */
};

/* Blocks. After an error the folder is as it was, unless the system failed while files were
 * being renamed.
 * @replace  files that exist are written anew; their readers see the old or the new one
 * @why      a part of a sentence after an error
 * @return 0; -EEXIST, -EACCES and so on; -EINVAL: what is there is no regular file */
int soq__tls_save(
	struct soq__tls_saved *files, size_t count, bool replace, char *why, size_t why_len);

#endif
