/* last_error.c - see last_error.h. */
#include <soquete/error.h>
#include "fiber/last_error.h"
#include "fiber/worker.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int soq__fail(int code, const char *format, ...)
{
	struct soq__fiber *f = soq__current();
	char *sentence = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&sentence, format, args) < 0)
		sentence = NULL;
	va_end(args);
	free(f->last_error);
	f->last_error = sentence;
	return code;
}

const char *soq_last_error(void)
{
	const struct soq__fiber *f = soq__current();

	return f->last_error ? f->last_error : "";
}
