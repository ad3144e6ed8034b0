/* last_error.h - the sentence behind soq_last_error(), one a fiber. */
#ifndef SOQ__LAST_ERROR_H
#define SOQ__LAST_ERROR_H

/* Set the sentence; as printf(3). @return @code, so that it can be returned at once */
__attribute__((format(printf, 2, 3))) int soq__fail(int code, const char *format, ...);

#endif
