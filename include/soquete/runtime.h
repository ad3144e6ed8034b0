/* runtime.h - which version this is, and which engine runs it. */
#ifndef SOQUETE_RUNTIME_H
#define SOQUETE_RUNTIME_H

#include <soquete/base.h>

SOQ_BEGIN_C

/** The library's version, "MAJOR.MINOR.PATCH". */
SOQ_API const char *soq_version(void);

/**
 * Choose the engine of the threads that have not used soquete yet, in the whole process.
 * The environment variable SOQUETE_ENGINE chooses at start-up.
 *
 * @name  "auto" (io_uring if the kernel grants it, else epoll), "uring", "epoll", or "sim":
 *        a simulated world with one host for each thread (see sim.h)
 * @return 0; -EINVAL for another name, -ENOSYS or what the kernel said for an engine
 *         that cannot be had here; soq_last_error() says why
 */
SOQ_API int soq_engine_select(const char *name);

/** The name of the calling thread's engine. */
SOQ_API const char *soq_engine_name(void);

/**
 * The engines this library was built with, and what each says of this machine.
 * @index  from 0
 * @ret_name, @ret_refusal  static text; the refusal is "" for an engine that works here
 * @return 0; -ENOENT past the last
 */
SOQ_API int soq_engine_list(size_t index, const char **ret_name, const char **ret_refusal);

/**
 * Release what the calling thread's engine and scheduler hold. Optional: it happens at a
 * thread's end by itself. No other fiber of the thread may exist.
 * @return 0; -EBUSY, also in a simulated program, which ends by returning
 */
SOQ_API int soq_thread_end(void);

SOQ_END_C

#endif
