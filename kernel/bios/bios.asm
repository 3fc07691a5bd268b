; SPDX-License-Identifier: GPL-2.0-only
;
; The firmware of a VM that starts from a disk image (kind=disk): what a boot
; sector finds of a PC's BIOS. 8 KiB at F000:E000; kernel/load_disk.c puts it
; there and fills in the parameter block at its start.
;
; The code must work from ROM too, so that it can be tried on a machine that
; is not ours: what it keeps is in the BIOS data area at 40:0.
;
; Every service goes through `enter`: all registers are on the stack, in the
; frame that BP points at, and results are written there. A handler finds the
; caller's registers except BP, and DS at the BIOS data area; it may change
; them all. Interrupts stay off unless said otherwise.

bits 16
cpu 686
org 0xE000

ROM_SEGMENT equ 0xF000

; The BIOS data area, from 40:0 on.
BDA equ 0x40
BDA_COM1 equ 0x00
BDA_EBDA equ 0x0E
BDA_EQUIPMENT equ 0x10
BDA_MEMORY_KIB equ 0x13
BDA_SHIFT_FLAGS equ 0x17
BDA_KEY_HEAD equ 0x1A
BDA_KEY_TAIL equ 0x1C
BDA_KEYS equ 0x1E
BDA_KEYS_END equ 0x3E
BDA_MODE equ 0x49
BDA_COLUMNS equ 0x4A
BDA_PAGE_BYTES equ 0x4C
BDA_CURSOR equ 0x50
BDA_CURSOR_SHAPE equ 0x60
BDA_CRTC equ 0x63
BDA_CGA_MODE equ 0x65
BDA_TICKS equ 0x6C
BDA_MIDNIGHT equ 0x70
BDA_DISK_STATUS equ 0x74
BDA_DISKS equ 0x75
BDA_KEYS_START_PTR equ 0x80
BDA_KEYS_END_PTR equ 0x82
BDA_LAST_ROW equ 0x84
BDA_FONT_HEIGHT equ 0x85
BDA_EGA_INFO equ 0x87
BDA_VGA_FLAGS equ 0x89
BDA_TERMINAL equ 0xAC		; ours: row and column where the terminal's cursor is
BDA_SCREEN equ 0xAE		; ours: not 0 if there is memory at B8000
BDA_SIZE equ 0x100

EBDA_SEGMENT equ 0x9FC0
MEMORY_KIB equ 639
BOOT_OFFSET equ 0x7C00
DISK equ 0x80

COM1 equ 0x3F8
UART_LSR equ COM1 + 5
LSR_DATA equ 0x01
LSR_THRE equ 0x20

FLAG_CF equ 0x01
FLAG_ZF equ 0x40
FLAG_IF_HIGH equ 0x02		; in the upper byte

; The frame of a service, from BP on.
F_DI equ 0
F_SI equ 4
F_EBP equ 8
F_EBX equ 16
F_BX equ 16
F_BL equ 16
F_BH equ 17
F_EDX equ 20
F_DX equ 20
F_DL equ 20
F_DH equ 21
F_ECX equ 24
F_CX equ 24
F_CL equ 24
F_CH equ 25
F_EAX equ 28
F_AX equ 28
F_AL equ 28
F_AH equ 29
F_FS equ 32
F_ES equ 34
F_DS equ 36
F_HANDLER equ 38
F_IP equ 40
F_CS equ 42
F_FLAGS equ 44

; ---- the parameter block, as struct bios_block in kernel/load_disk.h ---------
RANGES_MAX equ 8
RANGE_SIZE equ 20

block:
	db "SpoorDsk"
disk_base: dd 0			; guest physical
disk_sectors: dd 0
range_count: dd 0
ranges:	times RANGES_MAX * RANGE_SIZE db 0

; ---- services ----------------------------------------------------------------

%macro SERVICE 1
%1:	push word %1_handler
	jmp enter
%endmacro

	SERVICE int10
	SERVICE int13
	SERVICE int14
	SERVICE int15
	SERVICE int16
	SERVICE int17
	SERVICE int1a

enter:
	push ds
	push es
	push fs
	pushad
	cld
	mov bp, sp
	push BDA
	pop ds
	call [bp + F_HANDLER]
	popad
	pop fs
	pop es
	pop ds
	add sp, 2
	iret

; Goes on at the handler of function AH in the table at SI: its length, then
; {function, handler} for each, then the handler of all others.
dispatch:
	mov cl, [cs:si]
	mov ch, 0
	inc si
.next:	cmp ah, [cs:si]
	je .found
	add si, 3
	loop .next
	dec si
.found:	push word [cs:si + 1]
	mov si, [bp + F_SI]
	mov cx, [bp + F_CX]
	ret

%macro FUNCTION 2
	db %1
	dw %2
%endmacro

%include "kernel/bios/post.inc"
%include "kernel/bios/interrupts.inc"
%include "kernel/bios/serial.inc"
%include "kernel/bios/video.inc"
%include "kernel/bios/disk.inc"
%include "kernel/bios/keyboard.inc"
%include "kernel/bios/system.inc"
%include "kernel/bios/clock.inc"

; ---- the top of the first megabyte --------------------------------------------
	times 0x1FF0 - ($ - $$) db 0xFF
; Where a CPU starts. A real one comes with a code segment base of FFFF0000.
reset_vector:
	jmp ROM_SEGMENT:post
	times 0x1FF5 - ($ - $$) db 0
	db "01/01/24"		; as PCs have it here
	db 0
	db 0xFC			; model: AT
	db 0
