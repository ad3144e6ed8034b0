/* switch.c - a switch keeps what the ABI asks a callee to keep, and no stack is misaligned.
 *
 * probe() fills every register that a callee must keep, switches, and on its return writes
 * down what it finds in them.
 */
#include "test.h"
#include "fiber/switch.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define STACK_BYTES 65536

/* Fill the registers with @base + 1, @base + 2, ...; switch; store them in @found. */
void probe(void **from, void *to, uint64_t *found, uint64_t base);

#if defined(__x86_64__)
#define REGISTERS 6
__asm__(".text\n"
	".type probe, @function\n"
	"probe:\n"
	"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"	push %rdx\n"
	"	lea 1(%rcx), %rbp; lea 2(%rcx), %rbx; lea 3(%rcx), %r12\n"
	"	lea 4(%rcx), %r13; lea 5(%rcx), %r14; lea 6(%rcx), %r15\n"
	"	call soq__switch\n"
	"	pop %rdx\n"
	"	mov %rbp, 0(%rdx); mov %rbx, 8(%rdx); mov %r12, 16(%rdx)\n"
	"	mov %r13, 24(%rdx); mov %r14, 32(%rdx); mov %r15, 40(%rdx)\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
	"	ret\n"
	".size probe, .-probe\n");
#else
#define REGISTERS 18
__asm__(".text\n"
	".type probe, %function\n"
	"probe:\n"
	"	stp x29, x30, [sp, #-176]!\n"
	"	stp x19, x20, [sp, #16]; stp x21, x22, [sp, #32]; stp x23, x24, [sp, #48]\n"
	"	stp x25, x26, [sp, #64]; stp x27, x28, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]\n"
	"	str x2, [sp, #160]\n"
	"	add x19, x3, #1; add x20, x3, #2; add x21, x3, #3; add x22, x3, #4\n"
	"	add x23, x3, #5; add x24, x3, #6; add x25, x3, #7; add x26, x3, #8\n"
	"	add x27, x3, #9; add x28, x3, #10\n"
	"	add x9, x3, #11; fmov d8, x9; add x9, x3, #12; fmov d9, x9\n"
	"	add x9, x3, #13; fmov d10, x9; add x9, x3, #14; fmov d11, x9\n"
	"	add x9, x3, #15; fmov d12, x9; add x9, x3, #16; fmov d13, x9\n"
	"	add x9, x3, #17; fmov d14, x9; add x9, x3, #18; fmov d15, x9\n"
	"	bl soq__switch\n"
	"	ldr x2, [sp, #160]\n"
	"	stp x19, x20, [x2, #0]; stp x21, x22, [x2, #16]; stp x23, x24, [x2, #32]\n"
	"	stp x25, x26, [x2, #48]; stp x27, x28, [x2, #64]\n"
	"	stp d8, d9, [x2, #80]; stp d10, d11, [x2, #96]\n"
	"	stp d12, d13, [x2, #112]; stp d14, d15, [x2, #128]\n"
	"	ldp x19, x20, [sp, #16]; ldp x21, x22, [sp, #32]; ldp x23, x24, [sp, #48]\n"
	"	ldp x25, x26, [sp, #64]; ldp x27, x28, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]\n"
	"	ldp x29, x30, [sp], #176\n"
	"	ret\n"
	".size probe, .-probe\n");
#endif

/* Two contexts that switch to and fro. */
struct pair {
	void *here, *there;
	int visits;
	bool is_aligned;
	uint64_t control;
	uint64_t found[REGISTERS];
	char text[32];
};

static char stack[STACK_BYTES] __attribute__((aligned(64)));

/* Begin @fn on the stack, as far as its first switch back. */
static void begin(struct pair *p, void (*fn)(void *))
{
	p->there = soq__switch_prepare(stack + sizeof stack, fn, p);
	soq__switch(&p->here, p->there);
}

static void check_registers(const uint64_t *found, uint64_t base)
{
	for (unsigned i = 0; i < REGISTERS; i++) {
		ROW("register %u, base %llx", i, (unsigned long long)base);
		CHECK_EQ(found[i], base + i + 1);
	}
}

static void probe_for_ever(void *arg)
{
	struct pair *p = arg;

	for (;;) {
		p->visits++;
		probe(&p->there, p->here, p->found, UINT64_C(0x5000) * (uint64_t)p->visits);
	}
}

TEST(switch_keeps_registers)
{
	static struct pair p;
	uint64_t found[REGISTERS];

	begin(&p, probe_for_ever);
	CHECK_EQ(p.visits, 1);
	for (int i = 1; i < 5; i++) {
		probe(&p.here, p.there, found, UINT64_C(0xabcd00000000) + (uint64_t)i);
		check_registers(found, UINT64_C(0xabcd00000000) + (uint64_t)i);
		CHECK_EQ(p.visits, i + 1);
		check_registers(p.found, UINT64_C(0x5000) * (uint64_t)i);
	}
}

static void enter(void *arg)
{
	struct pair *p = arg;
	__attribute__((aligned(16))) char local[16];
	volatile uintptr_t at = (uintptr_t)local;
	double number = 0.5 + p->visits;

	p->is_aligned = at % 16 == 0;
	/* What passes floating-point numbers aligned, or crashes. */
	snprintf(p->text, sizeof p->text, "%.2f", number);
	p->visits++;
	soq__switch(&p->there, p->here);
}

TEST(switch_entry)
{
	static struct pair p = { .visits = 41 };

	begin(&p, enter);
	CHECK_EQ(p.visits, 42);
	CHECK(p.is_aligned);
	CHECK_STR(p.text, "41.50");
}

/* The floating-point control words. */
#if defined(__x86_64__)
#define CONTROL_DEFAULT UINT64_C(0x037f00001f80) /* the x87's above MXCSR */
#define CONTROL_UP	UINT64_C(0x0b7f00005f80)
#define CONTROL_DOWN	UINT64_C(0x077f00003f80)

static uint64_t control(void)
{
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(x87));
	return (uint64_t)x87 << 32 | (mxcsr & 0xffc0); /* without the sticky flags */
}

static void set_control(uint64_t word)
{
	uint32_t mxcsr = (uint32_t)word;
	uint16_t x87 = (uint16_t)(word >> 32);

	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(x87));
}
#else
#define CONTROL_DEFAULT UINT64_C(0)
#define CONTROL_UP	(UINT64_C(1) << 22)
#define CONTROL_DOWN	(UINT64_C(2) << 22)

static uint64_t control(void)
{
	uint64_t fpcr;

	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	return fpcr;
}

static void set_control(uint64_t word)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(word));
}
#endif

static void round_down(void *arg)
{
	struct pair *p = arg;

	for (;;) {
		p->control = control();
		set_control(CONTROL_DOWN);
		soq__switch(&p->there, p->here);
	}
}

TEST(switch_keeps_rounding)
{
	static struct pair p;

	set_control(CONTROL_UP);
	begin(&p, round_down);
	CHECK_EQ(p.control, CONTROL_DEFAULT); /* a new context has the default */
	CHECK_EQ(control(), CONTROL_UP);
	soq__switch(&p.here, p.there);
	CHECK_EQ(p.control, CONTROL_DOWN);
	CHECK_EQ(control(), CONTROL_UP);
	set_control(CONTROL_DEFAULT);
}
