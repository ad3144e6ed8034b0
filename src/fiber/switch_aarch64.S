/* switch_aarch64.S - see switch.h.
 *
 * AAPCS64, sections 6.1.1 and 6.1.2: a callee keeps x19..x29, the low halves of v8..v15,
 * and needs its return address in x30. The context, from the stack pointer up:
 *
 *	0..9: x19..x28   10: x29   11: x30   12..19: d8..d15   20: FPCR   21: unused
 */
	.text

	.globl	soq__switch
	.hidden	soq__switch
	.type	soq__switch, %function
	.p2align 4
soq__switch:
	.cfi_startproc
	hint	#34			/* bti c */
	sub	sp, sp, #176
	stp	x19, x20, [sp, #0]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mrs	x9, fpcr
	str	x9, [sp, #160]
	mov	x9, sp
	str	x9, [x0]
	mov	sp, x1
	ldp	x19, x20, [sp, #0]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	ldr	x9, [sp, #160]
	msr	fpcr, x9
	add	sp, sp, #176
	ret
	.cfi_endproc
	.size	soq__switch, .-soq__switch

/* x19 holds the function, x20 its argument. */
	.globl	soq__switch_start
	.hidden	soq__switch_start
	.type	soq__switch_start, %function
	.p2align 4
soq__switch_start:
	.cfi_startproc
	.cfi_undefined x30
	hint	#36			/* bti j */
	mov	x0, x20
	mov	x29, xzr
	blr	x19
	brk	#1
	.cfi_endproc
	.size	soq__switch_start, .-soq__switch_start

	.section .note.GNU-stack, "", %progbits
