/* limits.h - what the system lets a process have. */
#ifndef TOOL_LIMITS_H
#define TOOL_LIMITS_H

/**
 * Raise the limit of open descriptors as far as this process may: to the hard limit, or
 * with CAP_SYS_RESOURCE beyond it, to 1,048,576 or fs.nr_open.
 */
void tool_raise_descriptors(void);

#endif
