#!/bin/sh
# Prints the vault password of this operations centre. Ansible runs it (vault_password_file in ansible.cfg).
# Without the file, a word that opens nothing: reading the inventory still works, using a secret fails by name.
file="${BASCULE_VAULT_PASSWORD_FILE:-/etc/bascule/vault-password}"
if [ -r "$file" ]; then exec cat "$file"; fi
echo "no-vault-password-on-this-machine"
