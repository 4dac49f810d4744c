import { useRef, useState } from 'preact/hooks';
import { Brand } from '../../shared/mark.tsx';
import { post, words } from '../api.ts';

export function SignIn({ entered }: { entered: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState('');
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await post('login', { password: field.current?.value ?? '' });
      entered();
    } catch (why) {
      setProblem(words(why));
      setBusy(false);
      field.current?.select();
    }
  };
  return (
    <main class="alone">
      <form class="panel sign-in" onSubmit={(event) => void submit(event)}>
        <h1 class="brand">
          <Brand />
        </h1>
        <p class="quiet">The operators' console.</p>
        {/* For password managers, which keep a password with a name. */}
        <input type="text" name="username" autoComplete="username" value="operator" hidden readOnly />
        <label class="field">
          Password
          <input
            ref={field}
            type="password"
            autoComplete="current-password"
            required
            // biome-ignore lint/a11y/noAutofocus: there is nothing else on this page
            autoFocus
            aria-describedby="sign-in-problem"
            aria-invalid={problem ? true : undefined}
          />
        </label>
        <p id="sign-in-problem" class="bad-text" role="alert">
          {problem}
        </p>
        <button type="submit" class="button primary" disabled={isBusy}>
          {isBusy ? 'Signing in…' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
