/** The few React hooks that several components share. */
import {
  type RefCallback,
  useCallback,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import type { ServiceConfig } from '../api';
import type { Credentials } from '../meeting/Credentials';
import type { Store } from '../meeting/Store';

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}

/** A part of a store: renders again only when that part changes. */
export function useSelected<T, S>(store: Store<T>, select: (value: T) => S): S {
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}

/** What the service offers; null until it has said so. */
export function useConfig(credentials: Credentials): ServiceConfig | null {
  const [config, setConfig] = useState<ServiceConfig | null>(null);
  useEffect(() => {
    // If the service is away now, whoever wants something of it hears of that.
    credentials.config().then(setConfig, () => undefined);
  }, [credentials]);
  return config;
}

export interface Size {
  width: number;
  height: number;
}

/** An element's inner size in CSS pixels, followed as it changes, comes and goes. */
export function useSize<E extends HTMLElement>(): [RefCallback<E>, Size] {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  const ref = useCallback((element: E | null) => {
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, size];
}

/** Gives a track to the element of the returned ref; null takes it away. */
export function useTrack<E extends HTMLMediaElement>(track: MediaStreamTrack | null) {
  const ref = useRef<E>(null);
  useEffect(() => {
    if (ref.current) ref.current.srcObject = track && new MediaStream([track]);
  }, [track]);
  return ref;
}

/** The time in ms since 1970, each second anew. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

const INTERACTIVE = 'input, select, textarea, button, a, dialog, [contenteditable]';

/** Space, Ctrl+D and Ctrl+E anywhere on the page, but not where a person types or presses. */
export function useShortcuts(actions: { space(): void; ctrlD(): void; ctrlE(): void }): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const key = event.key.toLowerCase();
      const ctrl = event.ctrlKey && !event.altKey && !event.shiftKey && !event.metaKey;
      const inControl = event.target instanceof Element && event.target.closest(INTERACTIVE);
      let action: (() => void) | null = null;
      if (ctrl && key === 'd') action = latest.current.ctrlD;
      else if (ctrl && key === 'e') action = latest.current.ctrlE;
      else if (key === ' ' && !event.ctrlKey && !inControl) action = latest.current.space;
      if (!action) return;
      event.preventDefault();
      if (!event.repeat) action();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}
