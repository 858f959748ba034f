//go:build linux

#include "textflag.h"

// func rawClone(trap, a1, a2, entry, arg uintptr) (pid, errno uintptr)
TEXT ·rawClone(SB),NOSPLIT,$0-56
	MOVD	a1+8(FP), R0
	MOVD	a2+16(FP), R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$0, R5
	MOVD	entry+24(FP), R19
	MOVD	arg+32(FP), R20
	MOVD	trap+0(FP), R8
	SVC
	CMN	$4095, R0
	BCC	ok
	MOVD	$-1, R4
	MOVD	R4, pid+40(FP)
	NEG	R0, R0
	MOVD	R0, errno+48(FP)
	RET
ok:
	CBZ	R0, child
	MOVD	R0, pid+40(FP)
	MOVD	ZR, errno+48(FP)
	RET
child:
	// An empty stack, no goroutine: what a Go function that does not split its stack needs
	// is its argument.
	MOVD	ZR, R29
	MOVD	ZR, g
	MOVD	R20, R0
	BL	(R19)
	BRK

// func threadPointer() uintptr
TEXT ·threadPointer(SB),NOSPLIT,$0-8
	MRS	TPIDR_EL0, R0
	MOVD	R0, ret+0(FP)
	RET
