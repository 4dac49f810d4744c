"""Claims of the site's own making."""


def made(user):
    return {"role": user.role, "info": {"badge": user.username}}
