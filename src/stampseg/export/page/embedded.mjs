// What lies in the page itself: texts, and bytes packed by gzip and written as base64.
import { unpacked } from "./gzip.mjs";

export function textOf(id) {
  return document.getElementById(id).textContent;
}

export function bytesOf(id) {
  const text = atob(textOf(id).trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return unpacked(bytes, id);
}
