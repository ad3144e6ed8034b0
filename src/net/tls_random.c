/* tls_random.c - where OpenSSL's chance comes from: its own in real programs, the world's in
 * simulated ones, so that one seed gives one handshake, byte for byte.
 *
 * For simulated programs there is a library context with a provider of ours in it, which offers
 * random numbers only: they are those of the engine of the thread's worker. All else in the
 * context is OpenSSL's default provider.
 *
 * Invariant: what stands between OpenSSL and the engine has no state. A generator of OpenSSL's
 * would carry one world's numbers into the next, and the order of worlds would matter.
 * Source: provider-rand(7), OSSL_PROVIDER_add_builtin(3), RAND_set_DRBG_type(3).
 */
#include "net/tls_openssl.h"
#include "fiber/worker.h"
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define PROVIDER   "soquete"
#define PROPERTIES "provider=" PROVIDER
#define ALGORITHM  "ENGINE-RANDOM"
#define BYTES_MAX  (1u << 20) /* of one request; OpenSSL cuts longer ones into pieces */
#define BITS	   256	      /* of security that is claimed: as much as anybody asks for */

/* ---- the generator ---- */

/* OpenSSL wants one object for each thread and purpose, and NULL for "no memory". This one is
 * all of them. */
static char only_one;

static void *random_new(void *provider, void *parent, const OSSL_DISPATCH *parent_calls)
{
	return &only_one;
}

static void random_free(void *random)
{
}

static int random_instantiate(void *random, unsigned strength, int prediction_resistance,
	const unsigned char *personal, size_t personal_len, const OSSL_PARAM params[])
{
	return 1;
}

static int random_uninstantiate(void *random)
{
	return 1;
}

static int random_generate(void *random, unsigned char *out, size_t len, unsigned strength,
	int prediction_resistance, const unsigned char *extra, size_t extra_len)
{
	const struct soq__worker *w = soq__worker_peek();

	return w && w->engine->type->random(w->engine, out, len) == 0;
}

/* What RAND_add(3) gives us to stir in would be a state. */
static int random_reseed(void *random, int prediction_resistance, const unsigned char *entropy,
	size_t entropy_len, const unsigned char *extra, size_t extra_len)
{
	return 1;
}

static const OSSL_PARAM *random_gettable(void *random, void *provider)
{
	static const OSSL_PARAM params[] = { OSSL_PARAM_int(OSSL_RAND_PARAM_STATE, NULL),
		OSSL_PARAM_uint(OSSL_RAND_PARAM_STRENGTH, NULL),
		OSSL_PARAM_size_t(OSSL_RAND_PARAM_MAX_REQUEST, NULL), OSSL_PARAM_END };

	return params;
}

static int random_get(void *random, OSSL_PARAM params[])
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STATE);

	if (p && !OSSL_PARAM_set_int(p, EVP_RAND_STATE_READY))
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STRENGTH);
	if (p && !OSSL_PARAM_set_uint(p, BITS))
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_MAX_REQUEST);
	return !p || OSSL_PARAM_set_size_t(p, BYTES_MAX);
}

/* Threads need not keep off each other. */
static int random_enable_locking(void *random)
{
	return 1;
}

static int random_lock(void *random)
{
	return 1;
}

static void random_unlock(void *random)
{
}

/* ---- the provider ---- */

typedef void (*function)(void);

static const OSSL_DISPATCH random_calls[] = {
	{ OSSL_FUNC_RAND_NEWCTX, (function)random_new },
	{ OSSL_FUNC_RAND_FREECTX, (function)random_free },
	{ OSSL_FUNC_RAND_INSTANTIATE, (function)random_instantiate },
	{ OSSL_FUNC_RAND_UNINSTANTIATE, (function)random_uninstantiate },
	{ OSSL_FUNC_RAND_GENERATE, (function)random_generate },
	{ OSSL_FUNC_RAND_RESEED, (function)random_reseed },
	{ OSSL_FUNC_RAND_ENABLE_LOCKING, (function)random_enable_locking },
	{ OSSL_FUNC_RAND_LOCK, (function)random_lock },
	{ OSSL_FUNC_RAND_UNLOCK, (function)random_unlock },
	{ OSSL_FUNC_RAND_GETTABLE_CTX_PARAMS, (function)random_gettable },
	{ OSSL_FUNC_RAND_GET_CTX_PARAMS, (function)random_get },
	{ 0, NULL },
};

static const OSSL_ALGORITHM *provider_query(void *provider, int operation, int *no_store)
{
	static const OSSL_ALGORITHM algorithms[] = {
		{ ALGORITHM, PROPERTIES, random_calls, "the random numbers of the engine" },
		{ NULL, NULL, NULL, NULL },
	};

	*no_store = 0;
	return operation == OSSL_OP_RAND ? algorithms : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
	const OSSL_DISPATCH **ret, void **ret_provider)
{
	static const OSSL_DISPATCH calls[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (function)provider_query },
		{ 0, NULL },
	};

	*ret = calls;
	*ret_provider = &only_one;
	return 1;
}

/* ---- the library context ---- */

/* One for the process and never freed: configurations and keys of any world may outlive it. */
static OSSL_LIB_CTX *simulated_library;
static pthread_once_t simulated_once = PTHREAD_ONCE_INIT;

static void make_simulated(void)
{
	OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();

	if (library && OSSL_PROVIDER_add_builtin(library, PROVIDER, provider_init) &&
		OSSL_PROVIDER_load(library, PROVIDER) &&
		OSSL_PROVIDER_load(library, "default") &&
		RAND_set_DRBG_type(library, ALGORITHM, PROPERTIES, NULL, NULL)) {
		simulated_library = library;
		return;
	}
	/* Going on with OpenSSL's own chance would make the run another each time. */
	fprintf(stderr, "soquete: OpenSSL cannot be made to draw its chance from the seed\n");
	abort();
}

OSSL_LIB_CTX *soq__tls_library(void)
{
	if (!soq__worker()->engine->type->simulated)
		return NULL;
	pthread_once(&simulated_once, make_simulated);
	return simulated_library;
}
