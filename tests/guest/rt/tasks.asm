; SPDX-License-Identifier: GPL-2.0-only
; Where tasks start; see taskswitch32.c. A task shows its registers to C and
; returns with IRET; the next time it goes on behind that.
bits 32

extern task_seen
global task_entry, task_entry_code, task_small, task_small_end, task_small_seen
global task_v86, task_v86_end, task_error

section .text

; With an error code on the stack.
task_entry_code:
	pop dword [task_error]
	call task_show
	iretd
	jmp task_entry_code

task_entry:
	call task_show
	iretd
	jmp task_entry

; void task_seen(struct seen *s): EFLAGS, registers and selectors, the last
; pushed first; ESP is that of task_show.
task_show:
	pushfd
	cld
	pushad
	push dword 0
	mov [esp], gs
	push dword 0
	mov [esp], fs
	push dword 0
	mov [esp], ds
	push dword 0
	mov [esp], ss
	push dword 0
	mov [esp], cs
	push dword 0
	mov [esp], es
	push esp
	call task_seen
	add esp, 28
	popad
	add esp, 4
	ret

; A task with a TSS of 16 bits: the base of its code is here, its stack has a
; base too, so that it can only store what it sees.
task_small:
	mov [task_small_seen], eax
	mov [task_small_seen + 4], ecx
	mov [task_small_seen + 8], edx
	mov [task_small_seen + 12], ebx
	mov [task_small_seen + 16], esp
	mov [task_small_seen + 20], ebp
	mov [task_small_seen + 24], esi
	mov [task_small_seen + 28], edi
	mov [task_small_seen + 32], es
	mov [task_small_seen + 34], cs
	mov [task_small_seen + 36], ss
	mov [task_small_seen + 38], ds
	mov [task_small_seen + 40], fs
	mov [task_small_seen + 42], gs
	pushfd
	pop dword [task_small_seen + 44]
	iretd
	jmp task_small
task_small_end:

; Virtual-8086 code, copied to low memory: adds one to a word of each data
; segment and leaves through a task gate, for ever.
bits 16
task_v86:
	inc word [ds:0]
	inc word [es:2]
	inc word [fs:4]
	inc word [gs:6]
	push word 0x1234
	pop ax
	int 0x3c
	jmp task_v86
task_v86_end:

section .bss
align 4
task_error: resd 1
task_small_seen: resd 12
section .note.GNU-stack noalloc noexec nowrite progbits
