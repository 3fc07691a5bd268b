; SPDX-License-Identifier: GPL-2.0-only
;
; A disk image whose boot sector loads the rest and holds the machine, in real
; mode, to what a PC is: on any PC-like machine it must pass. It prints "ok NAME" or
; "FAIL NAME" for each test and "N passed, N failed, N skipped" on COM1, and
; ends through port 0xF4, or Bochs's own port.
;
; All is linked as segment 0, from 0x7C00 up, so that an offset is a linear
; address in protected mode too. A test is called with all segments 0,
; interrupts on and DF clear; it may change them, and the vectors.

cpu x64
bits 16
org 0x7C00

STACK equ 0x7C00
LOADED equ 0x7E00
SECTOR equ 512
; Every BIOS here counts so for a small disk. The image has one cylinder and a
; bit of the next.
HEADS equ 16
SECTORS equ 63
IMAGE_SECTORS equ 1024
SECTOR_A equ SECTORS * 3 - 1		; and its successor: the next head
SECTOR_B equ HEADS * SECTORS - 1	; the next cylinder

; Memory for the tests, all of it below 640K.
SAVED_VECTORS equ 0x600			; 1 KiB
SCRATCH_SEGMENT equ 0x2000		; 64 KiB
SCRATCH equ SCRATCH_SEGMENT * 16
OTHER_SEGMENT equ 0x3000		; 64 KiB
OTHER equ OTHER_SEGMENT * 16
TABLES equ 0x40000			; page tables
HIGH equ 0x200000			; above 1 MiB

COM1 equ 0x3F8
DEBUG_EXIT equ 0xF4
BOCHS_SHUTDOWN equ 0x8900
BDA_TICKS equ 0x46C

CF equ 1 << 0
PF equ 1 << 2
AF equ 1 << 4
ZF equ 1 << 6
SF equ 1 << 7
TF equ 1 << 8
IF equ 1 << 9
DF equ 1 << 10
OF equ 1 << 11
ARITH equ CF | PF | AF | ZF | SF | OF

; ---- the boot sector -------------------------------------------------------------

	jmp short start
	nop
	times 62 - ($ - $$) db 0	; some firmware writes where a BPB would be

start:
	mov [cs:boot_dx], dx
	pushf
	pop word [cs:boot_flags]
	mov [cs:boot_sp], sp
	mov [cs:boot_ss], ss
	mov [cs:boot_cs], cs
	cli
	xor ax, ax
	mov ss, ax
	mov sp, STACK
	mov ds, ax
	mov es, ax
	cld
	sti
	jmp 0:load

load:
	mov ah, 0x08
	mov dl, [boot_dx]
	push es
	int 0x13
	pop es
	mov si, .no_geometry
	jc .failed
	and cx, 63
	mov [boot_sectors], cx
	mov dl, dh
	mov dh, 0
	inc dx
	mov [boot_heads], dx
	mov bx, LOADED
	mov ax, 1
.next:	mov [.lba], ax
	xor dx, dx
	div word [boot_sectors]
	mov cx, dx
	inc cx
	xor dx, dx
	div word [boot_heads]
	mov dh, dl
	mov ch, al
	shl ah, 6
	or cl, ah
	mov dl, [boot_dx]
	mov ax, 0x0201
	int 0x13
	mov si, .unreadable
	jc .failed
	add bx, SECTOR
	mov ax, [.lba]
	inc ax
	cmp ax, LOAD_SECTORS
	jbe .next
	jmp main
.failed:
	lodsb
	test al, al
	jz .stop
	mov ah, 0x0E
	mov bx, 7
	int 0x10
	jmp .failed
.stop:	hlt
	jmp .stop
.lba:	dw 0
.no_geometry: db "boot16: no geometry", 13, 10, 0
.unreadable: db "boot16: read error", 13, 10, 0

boot_dx: dw 0
boot_flags: dw 0
boot_sp: dw 0
boot_ss: dw 0
boot_cs: dw 0
boot_sectors: dw 0
boot_heads: dw 0

	times 510 - ($ - $$) db 0
	dw 0xAA55

; ---- the list of tests --------------------------------------------------------------

; Begins the test function of this name; each points at the next.
%assign tests 0
%macro TEST 1
%defstr test_name %1
%assign this tests
%assign tests tests + 1
entry_%[this]:
	dw entry_%[tests], test_%1
	db test_name, 0
test_%1:
%endmacro

; The condition must hold; the test goes on. Without .nolist __LINE__ would be the
; line in the macro.
%macro check 1.nolist
	j%+1 %%ok
	call complain
	dw __LINE__
%%ok:
%endmacro

; Never here.
%macro fail 0.nolist
	call complain
	dw __LINE__
%endmacro

%macro check_equal 2.nolist
	cmp %1, %2
	je %%ok
	call complain
	dw __LINE__
%%ok:
%endmacro

; The flags of mask %1 must be %2; registers and flags are kept.
%macro check_flags 2.nolist
	pushf
	pop word [cs:flags_seen]
	push ax
	mov ax, [cs:flags_seen]
	and ax, %1
	cmp ax, %2
	pop ax
	je %%ok
	call complain
	dw __LINE__
%%ok:	push word [cs:flags_seen]
	popf
%endmacro

%macro skip 1
	mov word [skip_reason], %%reason
	ret
%%reason: db %1, 0
%endmacro

; A vector of our own.
%macro vector 2
	mov word [%1 * 4], %2
	mov word [%1 * 4 + 2], 0
%endmacro

; Notes that the check whose line follows the call does not hold.
complain:
	push bp
	mov bp, sp
	push ax
	push bx
	mov bx, [bp + 2]
	mov ax, [cs:bx]
	cmp word [cs:failures], 0
	jne .known
	mov [cs:first_line], ax
.known:	inc word [cs:failures]
	add word [bp + 2], 2
	pop bx
	pop ax
	pop bp
	ret

main:
	call console_open
	mov si, hello
	call print
	xor si, si
	mov di, SAVED_VECTORS
	mov cx, 512
	rep movsw
	mov si, entry_0
.next:	push si
	call run_test
	pop si
	mov si, [si]
	test si, si
	jnz .next
	mov ax, [passed]
	call print_number
	mov si, text_passed
	call print
	mov ax, [failed]
	call print_number
	mov si, text_failed
	call print
	mov ax, [skipped]
	call print_number
	mov si, text_skipped
	call print
	cmp word [failed], 1
	sbb al, al
	inc al				; 1 if any failed
	jmp finish

; The entry at SI.
run_test:
	mov word [failures], 0
	mov word [skip_reason], 0
	push si
	sti
	call [si + 2]
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	cld
	cli
	mov si, SAVED_VECTORS
	xor di, di
	mov cx, 512
	rep movsw
	sti
	pop si
	lea bx, [si + 4]
	cmp word [failures], 0
	jne .failed
	mov si, text_ok
	call print
	mov si, bx
	call print
	cmp word [skip_reason], 0
	jne .skipped
	inc word [passed]
	jmp .end
.skipped:
	inc word [skipped]
	mov si, text_left_out
	call print
	mov si, [skip_reason]
	call print
	mov si, text_close
	call print
	jmp .end
.failed:
	inc word [failed]
	mov si, text_fail
	call print
	mov si, bx
	call print
	mov si, text_line
	call print
	mov ax, [first_line]
	call print_number
	mov si, text_close
	call print
.end:	mov si, text_newline
	jmp print

hello: db "hello from 16 bits"
text_newline: db 13, 10, 0
text_ok: db "ok ", 0
text_fail: db "FAIL ", 0
text_line: db " (first at line ", 0
text_left_out: db " (skipped: ", 0
text_close: db ")", 0
text_passed: db " passed, ", 0
text_failed: db " failed, ", 0
text_skipped: db " skipped", 13, 10, 0
align 2, db 0
passed: dw 0
failed: dw 0
skipped: dw 0
failures: dw 0				; in the running test
first_line: dw 0
skip_reason: dw 0
flags_seen: dw 0

; ---- console ---------------------------------------------------------------------

console_open:
	mov dx, COM1 + 1
	mov al, 0
	out dx, al
	mov dx, COM1 + 3
	mov al, 0x80
	out dx, al
	mov dx, COM1
	mov al, 1
	out dx, al
	mov dx, COM1 + 1
	mov al, 0
	out dx, al
	mov dx, COM1 + 3
	mov al, 3
	out dx, al
	ret

; The string at SI.
print:	lodsb
	test al, al
	jz .done
	call put
	jmp print
.done:	ret

put:	push dx
	mov ah, al
	mov dx, COM1 + 5
.wait:	in al, dx
	test al, 0x20
	jz .wait
	mov dx, COM1
	mov al, ah
	out dx, al
	pop dx
	ret

; AX, decimal.
print_number:
	mov bx, 10
	xor cx, cx
.digit:	xor dx, dx
	div bx
	push dx
	inc cx
	test ax, ax
	jnz .digit
.print:	pop ax
	add al, '0'
	call put
	loop .print
	ret

; Ends the machine; AL is the status.
finish:
	mov bl, al
	mov dx, COM1 + 5
.drain:	in al, dx
	test al, 0x40
	jz .drain
	mov al, bl
	or al, 0x10
	out DEBUG_EXIT, al
	mov si, .shutdown
	mov dx, BOCHS_SHUTDOWN
.next:	lodsb
	test al, al
	jz .stop
	out dx, al
	jmp .next
.stop:	cli
	hlt
	jmp .stop
.shutdown: db "Shutdown", 0

; ---- exceptions ------------------------------------------------------------------

; The instruction must fault with vector %1, itself being where to go on.
%macro faults 2+.nolist
	mov byte [cs:fault_vector], 0xFF
	mov word [cs:fault_resume], %%after
%%at:	%2
%%after:
	cmp byte [cs:fault_vector], %1
	jne %%bad
	cmp word [cs:fault_ip], %%at
	je %%ok
%%bad:	call complain
	dw __LINE__
%%ok:
%endmacro

; Takes the vectors that `faults` needs.
catch_faults:
	vector 0x00, .divide
	vector 0x05, .bound
	vector 0x06, .undefined
	vector 0x07, .device
	vector 0x0C, .stack
	vector 0x0D, .general
	ret
.divide: mov byte [cs:fault_vector], 0x00
	jmp .common
.bound:	mov byte [cs:fault_vector], 0x05
	jmp .common
.undefined: mov byte [cs:fault_vector], 0x06
	jmp .common
.device: mov byte [cs:fault_vector], 0x07
	jmp .common
.stack:	mov byte [cs:fault_vector], 0x0C
	jmp .common
.general: mov byte [cs:fault_vector], 0x0D
.common:
	push bp
	mov bp, sp
	push ax
	mov ax, [bp + 2]
	mov [cs:fault_ip], ax
	mov ax, [bp + 4]
	mov [cs:fault_cs], ax
	mov ax, [bp + 6]
	mov [cs:fault_flags], ax
	mov ax, [cs:fault_resume]
	mov [bp + 2], ax
	pop ax
	pop bp
	iret

align 2, db 0
fault_ip: dw 0
fault_cs: dw 0
fault_flags: dw 0
fault_resume: dw 0
fault_vector: db 0

%include "tests/guest/boot16/start.inc"
%include "tests/guest/boot16/arithmetic.inc"
%include "tests/guest/boot16/strings.inc"
%include "tests/guest/boot16/memory.inc"
%include "tests/guest/boot16/control.inc"
%include "tests/guest/boot16/events.inc"
%include "tests/guest/boot16/modes.inc"
%include "tests/guest/boot16/firmware.inc"
%include "tests/guest/boot16/disk.inc"

entry_%[tests] equ 0			; there is no next

; ---- the rest of the image -----------------------------------------------------------

	align SECTOR, db 0
LOAD_SECTORS equ ($ - $$) / SECTOR - 1
%if ($ - $$) > 0x10000 - 0x7C00
%error the program reaches beyond its segment
%endif

; A sector that says where it is.
%macro SECTOR_AT 1
	times (%1) * SECTOR - ($ - $$) db 0
	times SECTOR / 4 dd 0x5EC70000 + %1
%endmacro

	SECTOR_AT SECTOR_A
	SECTOR_AT SECTOR_A + 1
	SECTOR_AT SECTOR_B
	SECTOR_AT SECTOR_B + 1
	times IMAGE_SECTORS * SECTOR - ($ - $$) db 0
