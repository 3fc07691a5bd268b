; SPDX-License-Identifier: GPL-2.0-only
;
; Into the guest and back: what C cannot say. struct cpu_regs begins with the
; sixteen general registers in the order of their numbers; rsp, rip and rflags
; of the guest are in the VMCS.
;
; Interrupts are off in the hypervisor. The entry is made in the shadow of an
; STI, so that none is taken before it: an external interrupt then exits
; whatever the guest's IF is, also where external-interrupt exiting goes by the
; IF at entry (Bochs). The exit loads RFLAGS with IF clear.

default rel
bits 64

VMCS_HOST_RSP equ 0x6C14

RAX_ equ 0*8
RCX_ equ 1*8
RDX_ equ 2*8
RBX_ equ 3*8
RBP_ equ 5*8
RSI_ equ 6*8
RDI_ equ 7*8

section .text

; int vmx_enter(struct cpu_regs *regs, bool launched)
; 0: the guest ran and exited; 1: VMfailInvalid; 2: VMfailValid
global vmx_enter
vmx_enter:
	push rbp
	push rbx
	push r12
	push r13
	push r14
	push r15
	push rdi
	mov eax, VMCS_HOST_RSP
	vmwrite rax, rsp
	jbe .failed
	test sil, sil			; the flags live until the jump below
	mov rax, [rdi + RAX_]
	mov rcx, [rdi + RCX_]
	mov rdx, [rdi + RDX_]
	mov rbx, [rdi + RBX_]
	mov rbp, [rdi + RBP_]
	mov rsi, [rdi + RSI_]
%assign n 8
%rep 8
	mov r%[n], [rdi + n*8]
%assign n n+1
%endrep
	mov rdi, [rdi + RDI_]
	jz .launch
	sti
	vmresume
	jmp .failed
.launch:
	sti
	vmlaunch
.failed:				; CF or ZF says how
	cli
	mov eax, 1
	mov ecx, 2
	cmovz eax, ecx
	jmp vmx_leave

; Where the CPU goes on a VM exit: HOST_RSP is what it was above.
global vmx_exit
vmx_exit:
	push rdi
	mov rdi, [rsp + 8]
	mov [rdi + RAX_], rax
	mov [rdi + RCX_], rcx
	mov [rdi + RDX_], rdx
	mov [rdi + RBX_], rbx
	mov [rdi + RBP_], rbp
	mov [rdi + RSI_], rsi
	pop qword [rdi + RDI_]
%assign n 8
%rep 8
	mov [rdi + n*8], r%[n]
%assign n n+1
%endrep
	xor eax, eax
vmx_leave:
	pop rdi
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbx
	pop rbp
	ret

section .note.GNU-stack noalloc noexec nowrite progbits
