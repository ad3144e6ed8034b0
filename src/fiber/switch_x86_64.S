/* switch_x86_64.S - see switch.h.
 *
 * System V ABI, section 3.2.1: a callee keeps rbx, rbp, r12..r15, and the control words of
 * MXCSR and the x87. The context, from the stack pointer up:
 *
 *	0: MXCSR, x87 control word   1: r15   2: r14   3: r13   4: r12   5: rbx   6: rbp
 *	7: the address to return to
 */
	.text

	.globl	soq__switch
	.hidden	soq__switch
	.type	soq__switch, @function
	.p2align 4
soq__switch:
	.cfi_startproc
	endbr64
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret
	.cfi_endproc
	.size	soq__switch, .-soq__switch

/* r14 holds the function, r13 its argument. */
	.globl	soq__switch_start
	.hidden	soq__switch_start
	.type	soq__switch_start, @function
	.p2align 4
soq__switch_start:
	.cfi_startproc
	.cfi_undefined rip
	endbr64
	movq	%r13, %rdi
	xorl	%ebp, %ebp
	callq	*%r14
	ud2
	.cfi_endproc
	.size	soq__switch_start, .-soq__switch_start

	.section .note.GNU-stack, "", @progbits
