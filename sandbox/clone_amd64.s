//go:build linux

#include "textflag.h"

// func rawClone(trap, a1, a2, entry, arg uintptr) (pid, errno uintptr)
TEXT ·rawClone(SB),NOSPLIT,$0-56
	MOVQ	a1+8(FP), DI
	MOVQ	a2+16(FP), SI
	MOVQ	$0, DX
	MOVQ	$0, R10
	MOVQ	$0, R8
	MOVQ	$0, R9
	MOVQ	entry+24(FP), R12
	MOVQ	arg+32(FP), R13
	MOVQ	trap+0(FP), AX
	SYSCALL
	CMPQ	AX, $0xfffffffffffff001
	JLS	ok
	MOVQ	$-1, pid+40(FP)
	NEGQ	AX
	MOVQ	AX, errno+48(FP)
	RET
ok:
	TESTQ	AX, AX
	JEQ	child
	MOVQ	AX, pid+40(FP)
	MOVQ	$0, errno+48(FP)
	RET
child:
	// An empty stack, no goroutine: what a Go function that does not split its stack needs
	// is its argument, and a zero in X15.
	XORL	BP, BP
	XORL	R14, R14
	XORPS	X15, X15
	MOVQ	R13, AX
	CALL	R12
	INT	$3
