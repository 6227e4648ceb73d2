"""The tables of the locator, as SQL; change ``VERSION`` with any of them.

Every row names a resource version by ``i``, its position on the ledger. Values of tokens,
references and ids are kept as salted 64-bit hashes (``v``), so rows are narrow; all keys end in
``i``, so the newest matches are read from the end of a range, without sorting.
"""

from __future__ import annotations

__all__ = ["COPIED", "SCHEMA", "VERSION"]

VERSION = 1

SCHEMA = """
create table about (id integer primary key check (id = 1), layout text, salt blob);
create table upto (id integer primary key check (id = 1), i integer, a integer);
create table kind (t integer primary key, name text unique);
create table system (s integer primary key, uri text unique);
create table grp (g integer primary key, facts text unique);
create table member (patient text, g integer, primary key (patient, g)) without rowid;
create table shape (s integer primary key, params text unique);
create table has (s integer, p integer, primary key (s, p)) without rowid;
create table res (
  i integer primary key, t integer, id, vid, n integer, at integer, state integer,
  g integer, s integer
);
create index res_type on res (t, i) where state = 1;
create index res_group on res (g, i) where state = 1;
create table named (v integer, i integer, primary key (v, i)) without rowid;
create table token (
  p integer, v integer, i integer, s integer, primary key (p, v, i, s)
) without rowid;
create table ref (p integer, v integer, i integer, primary key (p, v, i)) without rowid;
create index ref_from on ref (i, p, v);
create table moment (
  p integer, i integer, lo integer, hi integer, primary key (p, i, lo, hi)
) without rowid;
create index moment_lo on moment (p, lo, i, hi);
create table words (
  p integer, folded text, i integer, exact text, primary key (p, folded, i, exact)
) without rowid;
create index words_of on words (i, p);
create table amount (
  p integer, i integer, lo blob, hi blob, s integer, code integer, unit integer,
  primary key (p, i, lo, hi, s, code, unit)
) without rowid;
create index amount_lo on amount (p, lo, i);
create table account (v integer, a integer, primary key (v, a)) without rowid;
"""

COPIED = {
    "about": "id",
    "upto": "id",
    "kind": "t",
    "system": "s",
    "grp": "g",
    "member": "patient, g",
    "shape": "s",
    "has": "s, p",
    "res": "i",
    "named": "v, i",
    "token": "p, v, i, s",
    "ref": "p, v, i",
    "moment": "p, i, lo, hi",
    "words": "p, folded, i, exact",
    "amount": "p, i, lo, hi, s, code, unit",
    "account": "v, a",
}
"""Every table and the order in which a fresh file is filled."""
