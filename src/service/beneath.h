/* beneath.h - opening what lies beneath a root folder, and nothing else, whatever symbolic
 * links say and however fast they are swapped.
 */
#ifndef SOQ__SERVICE_BENEATH_H
#define SOQ__SERVICE_BENEATH_H

/**
 * Open for reading, never waiting for a FIFO's writer or a device.
 *
 * @root   a folder's descriptor, O_PATH is enough
 * @path   relative, without empty or dot segments; "" is the root itself
 * @flags  of open(2), in addition: O_DIRECTORY, O_PATH
 *
 * @return a descriptor, close-on-exec; -ENOENT, -ENOTDIR, -EACCES, -ENAMETOOLONG; -EXDEV or
 *         -ELOOP when the path leads outside; -EAGAIN when the tree was being changed all
 *         the while; others of open(2)
 *
 * Source: openat2(2), RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS.
 */
int soq__beneath_open(int root, const char *path, int flags);

/* The same where the kernel lacks openat2 (before 5.6) or a sandbox denies it: folder by
 * folder, following no symbolic link at all. */
int soq__beneath_open_stepwise(int root, const char *path, int flags);

#endif
